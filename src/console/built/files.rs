//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "97719446cb1d6c05c52a384f16126ade6871490b5cbd85ad869ebbc9f2601737";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-DHMCzHb8.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-DHMCzHb8.css"),
        gzip: include_bytes!("assets/index-DHMCzHb8.css.gz"),
    },
    Embedded {
        path: "assets/index-DZ9oC6SH.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-DZ9oC6SH.js"),
        gzip: include_bytes!("assets/index-DZ9oC6SH.js.gz"),
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
