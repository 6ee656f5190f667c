//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "30727dd6b18d308131ecc220a86322812569c95006c8170dddcf4248b8fc2960";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-C2P1XOqj.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-C2P1XOqj.js"),
        gzip: include_bytes!("assets/index-C2P1XOqj.js.gz"),
    },
    Embedded {
        path: "assets/index-xTaUuaBZ.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-xTaUuaBZ.css"),
        gzip: include_bytes!("assets/index-xTaUuaBZ.css.gz"),
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
