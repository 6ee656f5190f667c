//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "7105c7b21d151ddbbd6a84c9dd3b0c33fef3bec8ae3219a7879e3fea3101b3cd";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-DD43lc-g.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-DD43lc-g.css"),
        gzip: include_bytes!("assets/index-DD43lc-g.css.gz"),
    },
    Embedded {
        path: "assets/index-eeL9gGaJ.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-eeL9gGaJ.js"),
        gzip: include_bytes!("assets/index-eeL9gGaJ.js.gz"),
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
