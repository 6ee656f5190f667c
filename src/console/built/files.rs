//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "39bfa925fa3ff6cd905e3fb0d670fcb4af5786ed8f23aa4ad0a3bec7d12aca76";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-D3cnbLkD.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-D3cnbLkD.js"),
        gzip: include_bytes!("assets/index-D3cnbLkD.js.gz"),
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
