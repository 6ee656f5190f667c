//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "8590793db0b986c714c2e305ec386b6fb992e5e7dc61a0ddfa8f0396052cdd34";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-CGHT64cm.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-CGHT64cm.js"),
        gzip: include_bytes!("assets/index-CGHT64cm.js.gz"),
    },
    Embedded {
        path: "assets/index-DXdVK-Hg.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-DXdVK-Hg.css"),
        gzip: include_bytes!("assets/index-DXdVK-Hg.css.gz"),
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
