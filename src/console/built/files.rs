//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "6b8e44e46a624eb5f8c00d1147191a311392ef3391b9f78d05383cfd98a731b8";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-Cg5wAdVc.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-Cg5wAdVc.css"),
        gzip: include_bytes!("assets/index-Cg5wAdVc.css.gz"),
    },
    Embedded {
        path: "assets/index-DGugDwWI.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-DGugDwWI.js"),
        gzip: include_bytes!("assets/index-DGugDwWI.js.gz"),
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
