#!/usr/bin/env python3
"""The documentation as a book: checks it, and builds it with mdBook.

    tools/book.py --check    every page of docs/ is in docs/SUMMARY.md, every relative link and anchor of every
                             Markdown file leads somewhere, in the book too, the glossary defines each term once
    tools/book.py --stage    lays out target/book for mdBook: pages, and the files that they link to
    tools/book.py            lays it out and runs `mdbook build target/book`; the book is target/book/html

Pages link to source files by paths of the repository, which works where the repository is read. For mdBook the
linked files are copied beside the pages, so that the same links work in the book.
"""

import argparse
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
STAGE = ROOT / "target" / "book"
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
DEFINITION = re.compile(r"^\s*\[[^\]]+\]:\s*(\S+)", re.M)
ELEMENT = re.compile(r"""<(?:a|img)\s[^>]*?(?:href|src)="([^"]+)\"""")
NAMED = re.compile(r"""<a\s+(?:name|id)="([^"]+)\"""")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.M)
FENCED = re.compile(r"^(```|~~~).*?^\1\s*$", re.M | re.S)
CODE = re.compile(r"`[^`\n]*`")
TERM = re.compile(r"^\*\*([^*]+)\*\*", re.M)
ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:")


def pages():
    """Every Markdown file that is committed or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [path for name in sorted(set(listed.stdout.split())) if (path := ROOT / name).exists()]


@cache
def prose(path):
    """A page without its blocks of code, line by line as it was."""
    return FENCED.sub(lambda block: "\n" * block.group(0).count("\n"), path.read_text())


def slug(heading):
    """The anchor of a heading, as GitHub and mdBook make it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    text = re.sub(r"<[^>]*>|[`*]", "", text).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@cache
def anchors(path):
    """All that a link may name within a page."""
    found, seen = set(NAMED.findall(prose(path))), {}
    for heading in HEADING.findall(prose(path)):
        name = slug(heading)
        count = seen[name] = seen.get(name, -1) + 1
        found.add(f"{name}-{count}" if count else name)
    return found


def links(path):
    """The line and target of each link of a page."""
    text = CODE.sub(lambda code: "`" * len(code.group(0)), prose(path))
    for pattern in (LINK, DEFINITION, ELEMENT):
        for match in pattern.finditer(text):
            yield text.count("\n", 0, match.start(1)) + 1, match.group(1)


def target(page, link):
    """The file and the anchor that a link names; None where it leads out of the repository."""
    if ELSEWHERE.match(link) or link.startswith("//"):
        return None
    file, _, anchor = unquote(link).partition("#")
    return ((page.parent / file).resolve() if file else page), anchor


def broken_links(page):
    for line, link in links(page):
        place = f"{page.relative_to(ROOT)}:{line}"
        if (found := target(page, link)) is None:
            continue
        file, anchor = found
        if not file.is_relative_to(ROOT) or not file.exists():
            yield f"{place}: {link}: there is no such file"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            yield f"{place}: {link}: the page has no such heading"


def broken_in_book():
    """Links of chapters that lead somewhere in the repository, but nowhere in the book: it holds files, no folders,
    and of pages its chapters alone."""
    listed = chapters()
    for page in listed:
        for line, link in links(page):
            place, found = f"{page.relative_to(ROOT)}:{line}: {link}", target(page, link)
            if found and found[0].is_dir():
                yield f"{place}: the book has no folders: link to a file in it"
            elif found and found[0].suffix == ".md" and found[0] not in listed and found[0].exists():
                yield f"{place}: the page is no chapter of docs/SUMMARY.md"


def chapters():
    """The pages that the summary lists, in its order."""
    return [target(DOCS / "SUMMARY.md", link)[0] for _, link in links(DOCS / "SUMMARY.md")]


def missing_chapters():
    listed = chapters()
    for page in sorted(set(DOCS.glob("*.md")) - {DOCS / "SUMMARY.md"} - set(listed)):
        yield f"docs/SUMMARY.md: {page.name} is not in it"
    for page in sorted({page for page in listed if listed.count(page) > 1}):
        yield f"docs/SUMMARY.md: {page.name} is in it twice"


def repeated_terms():
    terms = [term.lower() for term in TERM.findall(prose(DOCS / "glossary.md"))]
    for term in sorted({term for term in terms if terms.count(term) > 1}):
        yield f"docs/glossary.md: {term} is defined twice"
    if terms != sorted(terms):
        yield "docs/glossary.md: terms are not in alphabetical order"


def check():
    found = [problem for page in pages() for problem in broken_links(page)]
    found += [*broken_in_book(), *missing_chapters(), *repeated_terms()]
    if found:
        print("\n".join(found))
        sys.exit(f"{len(found)} faults in the documentation")
    count = sum(1 for page in pages() for _ in links(page))
    print(f"{len(pages())} pages, {count} links: none is broken")


def stage():
    """The book's sources: the summary at their root, pages and linked files where the repository has them."""
    source = STAGE / "src"
    shutil.rmtree(source, ignore_errors=True)
    waiting, copied = chapters(), set()
    while waiting:
        file = waiting.pop()
        if file in copied or not file.is_file():
            continue
        copied.add(file)
        place = source / file.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
        if file.suffix == ".md":
            waiting += [found[0] for _, link in links(file) if (found := target(file, link))]
    summary = (DOCS / "SUMMARY.md").read_text()
    place = lambda link: str(target(DOCS / "SUMMARY.md", link.group(1))[0].relative_to(ROOT))
    (source / "SUMMARY.md").write_text(re.sub(r"(?<=\]\()([^)]+)", place, summary))
    shutil.copyfile(DOCS / "book.toml", STAGE / "book.toml")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="check links, anchors, summary and glossary")
    parser.add_argument("--stage", action="store_true", help="lay out target/book, build nothing")
    arguments = parser.parse_args()
    if arguments.check:
        return check()
    stage()
    if not arguments.stage:
        subprocess.run(["mdbook", "build", STAGE], check=True)


if __name__ == "__main__":
    main()
