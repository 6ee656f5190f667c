// A preprocessor of mdBook for links that work in the repository and not in the book: those to
// README.md, which is index.html there, and those to files outside it (as the decisions are), which
// are named instead.
import { readFileSync } from 'node:fs';
import { posix } from 'node:path';

const LINK = /\[([^\]]+)\]\(([^)\s#]+)(#[^)\s]+)?\)/g;

function inBook(folder) {
    return (link, text, path, anchor = '') => {
        if (path.includes(':')) return link;
        const target = posix.join(folder, path);
        const isPage = !/^(\.\.|decisions)\//.test(target);
        if (isPage) return `[${text}](${path.replace(/README\.md$/, 'index.md')}${anchor})`;
        const file = target.startsWith('../') ? target.slice(3) : `docs/${target}`;
        return text.replaceAll('`', '') === file ? `\`${file}\`` : `${text} (\`${file}\`)`;
    };
}

function rewrite(items) {
    for (const chapter of items.map((item) => item.Chapter).filter(Boolean)) {
        const replace = inBook(posix.dirname(chapter.source_path));
        // Every other part is the inside of a block of code.
        const parts = chapter.content.split(/^(?=```)/m);
        chapter.content = parts.map((part, n) => n % 2 ? part : part.replace(LINK, replace)).join('');
        rewrite(chapter.sub_items);
    }
}

if (process.argv[2] !== 'supports') {
    const [, book] = JSON.parse(readFileSync(0, 'utf8'));
    rewrite(book.items);
    process.stdout.write(JSON.stringify(book));
}
