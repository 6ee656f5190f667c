//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "3fc37a732ac2d84a84bd52035744b10c93df34caeb6cab13c019d64d0e1a4d4a";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-B3l5fQzP.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-B3l5fQzP.js"),
        gzip: include_bytes!("assets/index-B3l5fQzP.js.gz"),
    },
    Embedded {
        path: "assets/index-CuK7Ks2i.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-CuK7Ks2i.css"),
        gzip: include_bytes!("assets/index-CuK7Ks2i.css.gz"),
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
