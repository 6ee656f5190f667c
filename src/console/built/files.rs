//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "cd48b64eca14770c1233bcd0c3a0cf99a57b6ecb20dde6823172bbf3d8788c59";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-CtcZMBzK.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-CtcZMBzK.js"),
        gzip: include_bytes!("assets/index-CtcZMBzK.js.gz"),
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
