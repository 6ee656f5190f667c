//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "27adc120dd14b48d9f285be099bc9d0d41e3358fdf0f530412115c2ab82be982";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-DibALZev.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-DibALZev.js"),
        gzip: include_bytes!("assets/index-DibALZev.js.gz"),
    },
    Embedded {
        path: "assets/index-xLGEfVOP.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-xLGEfVOP.css"),
        gzip: include_bytes!("assets/index-xLGEfVOP.css.gz"),
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
