//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "1ff9ac012583419c88133a51bd5dd18655dcab98b95fe27503afd0d5768fef91";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-DXNuznPw.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-DXNuznPw.js"),
        gzip: include_bytes!("assets/index-DXNuznPw.js.gz"),
    },
    Embedded {
        path: "assets/index-q9fEtcIB.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-q9fEtcIB.css"),
        gzip: include_bytes!("assets/index-q9fEtcIB.css.gz"),
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
