//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "5b83a566c89fc682148b7d7885b56e4646eec9e980be18149a3ff60a3ad05bf1";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-D5rDNWza.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-D5rDNWza.css"),
        gzip: include_bytes!("assets/index-D5rDNWza.css.gz"),
    },
    Embedded {
        path: "assets/index-DNoh8p73.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-DNoh8p73.js"),
        gzip: include_bytes!("assets/index-DNoh8p73.js.gz"),
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
