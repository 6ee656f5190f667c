//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "45d2bcae2f87cc91ac89ce9b75ea35e8afca6e2929ed8cd5c92e5bd5da983a44";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-BwPAnhKi.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-BwPAnhKi.css"),
        gzip: include_bytes!("assets/index-BwPAnhKi.css.gz"),
    },
    Embedded {
        path: "assets/index-sgZBP2tX.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-sgZBP2tX.js"),
        gzip: include_bytes!("assets/index-sgZBP2tX.js.gz"),
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
