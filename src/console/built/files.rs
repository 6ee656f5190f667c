//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "2231c4d59dea06c965b22c227a075f86550426bdcbee6aa62c36eaccf7fd3c46";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-BwPAnhKi.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-BwPAnhKi.css"),
        gzip: include_bytes!("assets/index-BwPAnhKi.css.gz"),
    },
    Embedded {
        path: "assets/index-CtFP8CKq.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-CtFP8CKq.js"),
        gzip: include_bytes!("assets/index-CtFP8CKq.js.gz"),
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
