//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "b72f12db54a30d2b9d1e3eab241d9984c189892ec357b4a32783fc785a2f26fd";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-BB2AvUzr.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-BB2AvUzr.js"),
        gzip: include_bytes!("assets/index-BB2AvUzr.js.gz"),
    },
    Embedded {
        path: "assets/index-D5rDNWza.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-D5rDNWza.css"),
        gzip: include_bytes!("assets/index-D5rDNWza.css.gz"),
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
