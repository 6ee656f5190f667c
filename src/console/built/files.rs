//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "638b116ec564d64053a1452b0632259660fba05fc744f82e4b5659371b0c64a8";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-2tKVJvCd.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-2tKVJvCd.js"),
        gzip: include_bytes!("assets/index-2tKVJvCd.js.gz"),
    },
    Embedded {
        path: "assets/index-CqYJty2d.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-CqYJty2d.css"),
        gzip: include_bytes!("assets/index-CqYJty2d.css.gz"),
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
