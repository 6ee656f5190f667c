//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "b961b4582cc346ee33aec2cd48bd1bebdfa57204e6101d57e933c8ba04d063da";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-DiwHqcYu.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-DiwHqcYu.js"),
        gzip: include_bytes!("assets/index-DiwHqcYu.js.gz"),
    },
    Embedded {
        path: "assets/index-DwwC9ZzZ.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-DwwC9ZzZ.css"),
        gzip: include_bytes!("assets/index-DwwC9ZzZ.css.gz"),
    },
    Embedded {
        path: "icon.svg",
        kind: "image/svg+xml",
        bytes: include_bytes!("icon.svg"),
        gzip: include_bytes!("icon.svg.gz"),
    },
    Embedded {
        path: "index.html",
        kind: "text/html; charset=utf-8",
        bytes: include_bytes!("index.html"),
        gzip: include_bytes!("index.html.gz"),
    },
    Embedded {
        path: "push-worker.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("push-worker.js"),
        gzip: include_bytes!("push-worker.js.gz"),
    },
];
