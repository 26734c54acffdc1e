#!/usr/bin/env python3
"""Keeps lines of prose within 110 columns: Markdown files, and comments in Rust files.

    tools/prose.py --check        lists the lines that are longer, and fails if there are any
    tools/prose.py [FILE...]      wraps the paragraphs that have such lines (of all files where none is named)

Tables, code, headings, and words that are longer by themselves (addresses, say) are left alone.
"""

import argparse
import re
import subprocess
import sys
import textwrap
from pathlib import Path

WIDTH = 110
ROOT = Path(__file__).resolve().parent.parent
ITEM = re.compile(r"^(\s*)([*+-]|\d+\.)\s+")
COMMENT = re.compile(r"^(\s*//[/!]?)( ?)(.*)$")
LINK_TARGET = re.compile(r"\s*\[[^\]]+\]:")
# What Markdown would take for something else at the beginning of a line.
MARKUP = re.compile(r"^([*+>|-]|\d+[.)]|={3,})(\s|$)|^#|^```")


def fill(text, first, rest, width):
    """A paragraph in lines, none of which begins like another element; nothing where that cannot be."""
    for narrower in range(25):
        lines = textwrap.wrap(
            text,
            width - narrower,
            initial_indent=first,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        )
        if not any(MARKUP.match(line[len(rest) :]) for line in lines[1:]):
            return lines
    return None


def is_prose(line):
    """Whether a line is part of a paragraph or of a list."""
    bare = line.lstrip()
    return bool(bare) and not bare.startswith(("|", "#", "<")) and not LINK_TARGET.match(line)


def paragraphs(lines):
    """The ranges of lines that are paragraphs or items of lists, code left out."""
    at, in_code = 0, False
    while at < len(lines):
        line = lines[at]
        if line.strip().startswith("```"):
            in_code = not in_code
        is_indented = line.startswith("    ") and not ITEM.match(line) and (at == 0 or not lines[at - 1].strip())
        if line.strip().startswith("```") or in_code or is_indented or not is_prose(line):
            at += 1
            continue
        end = at + 1
        while end < len(lines) and is_prose(lines[end]) and not ITEM.match(lines[end]):
            if lines[end].strip().startswith("```"):
                break
            end += 1
        yield at, end
        at = end


def wrapped(block, width):
    """One paragraph, wrapped; as it is where it cannot be."""
    item = ITEM.match(block[0])
    first = item.group(0) if item else re.match(r"\s*", block[0]).group(0)
    text = " ".join([block[0][len(first) :].strip()] + [line.strip() for line in block[1:]])
    # Short spans of code stay whole.
    whole = lambda span: span.group(0).replace(" ", "\0") if len(span.group(0)) < 60 else span.group(0)
    lines = fill(re.sub(r"`[^`]*`", whole, text), first, " " * len(first), width)
    return [line.replace("\0", " ") for line in lines] if lines else block


def is_long(line, width):
    return len(line) > width and " " in line.strip()


def markdown(lines, width):
    """Markdown with the paragraphs wrapped that need it."""
    out, at = [], 0
    for start, end in paragraphs(lines):
        block = lines[start:end]
        out += lines[at:start]
        out += wrapped(block, width) if any(is_long(line, width) for line in block) else block
        at = end
    return out + lines[at:]


def rust(lines):
    """A Rust file with its comments wrapped."""
    out, at = [], 0
    while at < len(lines):
        head = COMMENT.match(lines[at])
        if not head or lines[at].lstrip().startswith("////"):
            out.append(lines[at])
            at += 1
            continue
        marker, block = head.group(1), []
        while at < len(lines) and (line := COMMENT.match(lines[at])) and line.group(1) == marker:
            block.append(line.group(3))
            at += 1
        out += [f"{marker} {line}".rstrip() for line in markdown(block, WIDTH - len(marker) - 1)]
    return out


def wrap(path):
    text = path.read_text()
    lines = text.split("\n")
    new = "\n".join(rust(lines) if path.suffix == ".rs" else markdown(lines, WIDTH))
    if new != text:
        path.write_text(new)
        print(path.relative_to(ROOT))


def long_lines(path):
    """The numbers of the lines that are too long and would be wrapped."""
    lines = path.read_text().split("\n")
    if path.suffix != ".rs":
        ranges = [number for start, end in paragraphs(lines) for number in range(start, end)]
        return [number + 1 for number in ranges if is_long(lines[number], WIDTH)]
    new = rust(lines)
    kept = set(new)
    return [number + 1 for number, line in enumerate(lines) if is_long(line, WIDTH) and line not in kept]


def files(named):
    if named:
        return [Path(name).resolve() for name in named]
    listed = subprocess.run(["git", "ls-files", "*.md", "*.rs"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / name for name in listed.stdout.split()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="list long lines, change nothing")
    parser.add_argument("files", nargs="*", metavar="FILE")
    arguments = parser.parse_args()
    if not arguments.check:
        for path in files(arguments.files):
            wrap(path)
        return
    found = [f"{path.relative_to(ROOT)}:{line}" for path in files(arguments.files) for line in long_lines(path)]
    if found:
        print("\n".join(found))
        sys.exit(f"{len(found)} lines of prose are over {WIDTH} columns: tools/prose.py wraps them")


if __name__ == "__main__":
    main()
