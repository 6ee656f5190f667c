//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "dc65215c72fe0590ed16a482f8511675aa8fcbf5633d194edaedab19b28c6e4c";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-C_fX036_.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-C_fX036_.js"),
        gzip: include_bytes!("assets/index-C_fX036_.js.gz"),
    },
    Embedded {
        path: "assets/index-z3pjfjLr.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-z3pjfjLr.css"),
        gzip: include_bytes!("assets/index-z3pjfjLr.css.gz"),
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
