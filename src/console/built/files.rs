//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "5537a63ee978e2acdab0f40cf4d41446760da10c3ddf6d83c6b1465ae0914d37";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-BLq4WQiq.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-BLq4WQiq.js"),
        gzip: include_bytes!("assets/index-BLq4WQiq.js.gz"),
    },
    Embedded {
        path: "assets/index-DHo8aQtn.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-DHo8aQtn.css"),
        gzip: include_bytes!("assets/index-DHo8aQtn.css.gz"),
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
