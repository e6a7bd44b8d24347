"""The source of axe-core as it runs in a page, and of Sightline's own scripts.

axe-core is shipped with its licence and checked against its SHA-256 before use. A few parts whose time is quadratic in
the page are replaced by linear ones with the same results, its polyfills by the browser's own functions, and the canvas
is dark if the page's is.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from producer.errors import ScanFailed
from worker.scan.lint.source import lint_script

_FOLDER: Final = Path(__file__).parent
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")
_QUICK: Final = (
    # Its memoizer searches all earlier arguments one by one (https://github.com/medikoo/memoizee, not "primitive").
    ("e=(0,bo.default)(e,t),axe._memoizedFns.push(e),e", "e=sightlineMemoize(e),axe._memoizedFns.push(e),e"),
    # It searches a list for each element added to it: the list of a cell of the page's grid (where the element could
    # only be the last), and that of the neighbours in several cells.
    ("e.includes(r)||e.push(r)", "e[e.length-1]===r||e.push(r)"),
    (
        "n===a||o&&!Jp(o,n.boundingClientRect)||i.includes(n)||i.push(n)",
        "n===a||i.has(n)||o&&!Jp(o,n.boundingClientRect)||i.add(n)",
    ),
    (
        "new window.DOMRect(e.left-r,e.top-r,e.width+2*r,e.height+2*r):null,i=[],",
        "new window.DOMRect(e.left-r,e.top-r,e.width+2*r,e.height+2*r):null,i=new Set,",
    ),
    ("finally{r.f()}}),i):[]}var Nf=", "finally{r.f()}}),[...i]):[]}var Nf="),
    # It reads the whole block of text for each link in it: here, a block is read once.
    (
        (
            'o=a="",i=0,function t(e,r){!1!==r(e.actualNode)&&e.children.forEach(function(e){return t(e,r)})}'
            "(n,function(e){var t,r;return e===n.actualNode||2!==i&&(3===e.nodeType&&(a+=e.nodeValue),1===e.nodeType?"
            '(t=(e.nodeName||"").toUpperCase(),e===l&&(i=1),((r=Jh(e))||["BR","HR"].includes(t))&&(0===i?o=a="":i=2),'
            '!(r||!Wp(e))&&("widget"===Yh(e)?(o+=e.textContent,!1):void 0)):void 0)}),a=M(a),'
            "t?0!==a.length:(o=M(o),a.length>o.length)"
        ),
        "o=sightlineLine(n,l,Jh,Wp,Yh,M),t?0!==o.around:o.around>o.inWidgets",
    ),
    # It searches the page again, and all elements that share an id, for each of them.
    (
        """(n=Array.from(n.querySelectorAll('[id="'.concat(g(r),'"]'))).filter(function(e){return e!==t})).length""",
        """(n=sightlineFind(n,'[id="'.concat(g(r),'"]')).slice(0,2).filter(function(e){return e!==t})).length""",
    ),
    (
        """a=Array.from(a.querySelectorAll('label[for="'.concat(o,'"]')));if(this.relatedNodes(a)""",
        """a=sightlineFind(a,'label[for="'.concat(o,'"]'));if(this.relatedNodes(a)""",
    ),
    (
        """i=Array.from(o.querySelectorAll('label[for="'.concat(r,'"]')));for(i.length&&(i=i.filter(function(e){return!Bp(e)}));a;)""",
        """i=sightlineFind(o,'label[for="'.concat(r,'"]'),function(e){return!Bp(e)}).slice();for(;a;)""",
    ),
    ("1<i.length&&(1<(n=i.filter(_)).length||", "1<i.length&&(1<(n=sightlineTwo(i,_)).length||"),
    (
        (
            'a=Pv(i).filter(function(e){return C0(e.getAttribute("aria-labelledby")||"").includes(i.props.id)})'
            ".map(function(e){return R(e)})"
        ),
        (
            'a=sightlineOnce(up(i.actualNode),"named by "+i.props.id,function(){return Pv(i).filter(function(e){'
            'return C0(e.getAttribute("aria-labelledby")||"").includes(i.props.id)}).map(function(e){return R(e)})})'
        ),
    ),
    # The related nodes of a check are never shown, and may be all elements of the page for each of them.
    (
        (
            "relatedNodes:function(e){if(window.Node){(e instanceof window.Node||e instanceof Ga)&&(e=[e]),"
            "n.relatedNodes=[];for(var t=0;t<e.length;t++){var r=e[t];"
            "(r=r instanceof Ga?r.actualNode:r)instanceof window.Node&&n.relatedNodes.push(new j1(r))}}}"
        ),
        "relatedNodes:function(){}",
    ),
    # It asks for the style of an element, then whether it is in something hidden. In closed details and under
    # content-visibility, each style that is read lays that part out again: ancestors first, whose answers it keeps.
    ("var Op=[xp,Ap,Cp,_p];", "var Op=[_p,xp,Ap,Cp];"),
    ("return!!Ip(e,t)||!!e.parent&&Pp(e.parent,!0)", "return!!e.parent&&Pp(e.parent,!0)||!!Ip(e,t)"),
    (
        ":!Bp(e,{skipAncestors:!0,isAncestor:t})&&(!e.parent||Gm(e.parent,!0))",
        ":(!e.parent||Gm(e.parent,!0))&&!Bp(e,{skipAncestors:!0,isAncestor:t})",
    ),
    (
        (
            ":!(Bp(t,{skipAncestors:!0,isAncestor:r})||t.actualNode&&Up.some(function(e){return e(t,{isAncestor:r})}))"
            "&&(!t.parent||Yp(t.parent,!0))"
        ),
        (
            ":(!t.parent||Yp(t.parent,!0))"
            "&&!(Bp(t,{skipAncestors:!0,isAncestor:r})||t.actualNode&&Up.some(function(e){return e(t,{isAncestor:r})}))"
        ),
    ),
    # Its grid has no element within something hidden, but reads ten styles of each.
    (
        "i=r?o.nextNode():o.currentNode;i;){var u=R(i),l=(",
        (
            "i=r?o.nextNode():o.currentNode;i;){var u=R(i),"
            "q=u&&u.parent||R(i.assignedSlot||i.parentElement||i.parentNode);"
            "if(q&&!Yp(q,!0)){(u||new axe.VirtualNode(i,q))._stackingOrder=[];i=o.nextNode();continue}var l=("
        ),
    ),
    # One check of target-size can take minutes: it now checks the clock.
    ("function kf(a){var e,t,o,i,", "function kf(a){sightlineClock.check();var e,t,o,i,"),
)
"""Parts of axe-core and their replacements. Remove them once axe-core is linear."""

_CANVAS: Final = (
    ("0===r.length?new B(255,255,255,1):(e=r.reduce", "0===r.length?sightlineCanvas(B):(e=r.reduce"),
    (
        "Zb(e.color instanceof B?e.color:e,new B(255,255,255,1))",
        "Zb(e.color instanceof B?e.color:e,sightlineCanvas(B))",
    ),
    ("(r=sy(e),e),r),new B(255,255,255,1))}", "(r=sy(e),e),r),sightlineCanvas(B))}"),
)
"""axe-core assumes a white canvas, which is wrong if ``color-scheme`` is dark and in forced colours."""

_NATIVE: Final = tuple(
    (f"{theirs}=e(function(e,t){{var r={inner}();t.exports=r}})", f"{theirs}=e(function(e,t){{t.exports={native}}})")
    for theirs, inner, native in (
        ("Lt", "Pt", "Object.hasOwn"),
        ("rr", "tr", "Object.values"),
        ("ir", "or", "Object.entries"),
        ("Vr", "qr", "Object.fromEntries"),
        ("rn", "tn", "Array.from"),
    )
)
"""Its polyfills for old browsers, which it installs whether or not they are needed."""


@dataclass(frozen=True, slots=True)
class AxeSource:
    """axe-core's program text and version, checked."""

    text: str
    version: str


@cache
def load_axe(folder: Path = _FOLDER / "vendor" / "axe-core") -> AxeSource:
    """Return axe-core as shipped; raises ``ScanFailed`` if it does not match its VERSION file."""
    first, second = (folder / "VERSION").read_text(encoding="utf-8").splitlines()[:2]
    expected, content = second.split()[1], (folder / "axe.min.js").read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        msg = f"{str(folder / 'axe.min.js')!r} has SHA-256 {found}: expected {expected}; reinstall sightline"
        raise ScanFailed(msg)
    return AxeSource(content.decode(), first.split()[1])


@cache
def quick_axe() -> str:
    """Return axe-core's text with fast look-ups, the browser's own functions, and the page's canvas colour."""
    text = load_axe().text
    for theirs, ours in (*_QUICK, *_CANVAS, *_NATIVE):
        if text.count(theirs) != 1:
            msg = (
                f"axe-core {load_axe().version} does not contain {theirs!r} exactly once: expected the shipped version"
            )
            raise ScanFailed(msg)
        text = text.replace(theirs, ours)
    return f"{script('axe_prelude')}\n{text}"


@cache
def script(name: str) -> str:
    """Return one of Sightline's in-page scripts."""
    return (_FOLDER / "js" / f"{name}.js").read_text(encoding="utf-8")


def ascii_only(text: str) -> str:
    """Return an equivalent program in ASCII: other text takes twice the memory and is parsed more slowly."""
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)


@cache
def audit_script() -> str:
    """Return the script that loads axe-core in the isolated world of a document; idempotent."""
    own = (script("media"), script("shadowing"), script("place"), lint_script(), script("audit"))
    loads = ascii_only(";\n".join((quick_axe(), *own)))
    return f"if (!Object.hasOwn(globalThis, 'sightlineAudit')) {{{loads}}}"


@cache
def shared_script() -> str:
    """Return the script that makes ``audit_script`` callable, for all documents of a process at once.

    Installed once per session, it is transferred once instead of fifty times for a page with fifty frames; for a page
    without frames ``audit_script`` is faster, since V8 parses the source once.
    """
    return f"globalThis.sightlineLoad = () => {{ {audit_script()} }};"
