//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "02dd4219c4ca79d1db82cadf414cad5b15aaf06dfeb0b9a80e8b9c7549cac583";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-C3TMaLck.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-C3TMaLck.js"),
        gzip: include_bytes!("assets/index-C3TMaLck.js.gz"),
    },
    Embedded {
        path: "assets/index-T9f0ZGNq.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-T9f0ZGNq.css"),
        gzip: include_bytes!("assets/index-T9f0ZGNq.css.gz"),
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
