//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "cd5ab7527856abf9e8daa12d964f81095973db6a3bb0beae683100ad072fc89e";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-Bb0PhVIm.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-Bb0PhVIm.js"),
        gzip: include_bytes!("assets/index-Bb0PhVIm.js.gz"),
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
