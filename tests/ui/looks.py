"""What people who see little, or use no mouse, need of a page: names of controls, contrasts, a focus that can be seen."""

CONTROLS = {"button", "link", "textbox", "searchbox", "combobox", "spinbutton", "checkbox", "progressbar", "progressIndicator", "image", "region", "navigation", "log"}
CONTRAST_LEAST = 4.5                                       # WCAG 2.2 AA, for text of any size

# Contrasts of every text that is seen against what is painted behind it, opacity of its ancestors included; those of disabled controls do not count.
CONTRASTS = r"""
const parse = text => { const n = text.match(/[\d.]+/g).map(Number); return [n[0], n[1], n[2], n.length > 3 ? n[3] : 1]; };
const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
const light = c => { const [r, g, b] = c.slice(0, 3).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((m, n) => n - m); return (x + 0.05) / (y + 0.05); };
const behind = e => { let stack = []; for (let n = e; n; n = n.parentElement) stack.push(parse(getComputedStyle(n).backgroundColor)); return stack.reduceRight((under, top) => over(top, under), [255, 255, 255, 1]); };
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
    const node = walker.currentNode, e = node.parentElement;
    if (!node.data.trim() || e.namespaceURI.endsWith("svg") || e.closest("noscript, option, :disabled, .skip, .status") || !e.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const style = getComputedStyle(e), ground = behind(e);
    let opacity = 1;
    for (let n = e; n; n = n.parentElement) opacity *= Number(getComputedStyle(n).opacity);
    const colour = parse(style.color);
    found.push([ratio(over([...colour.slice(0, 3), colour[3] * opacity], ground), ground), node.data.trim().slice(0, 40)]);
}
return found;
"""

# Texts of drawings: against the rectangle of their own group, else the card behind the drawing.
DRAWN = CONTRASTS.split("const found")[0] + r"""
return [...document.querySelectorAll("svg.sequence text")].map(t => {
    const rect = t.parentElement.querySelector("rect"), fill = rect && getComputedStyle(rect).fill;
    const ground = fill && fill !== "none" ? parse(fill) : behind(t.closest("svg").parentElement);
    return [ratio(parse(getComputedStyle(t).fill), ground), t.textContent.slice(0, 40)];
});
"""


def nameless(browser):
    """Controls and landmarks that assistive technology finds, and has no name for."""
    browser.devtools("Accessibility.enable")
    nodes = [node for node in browser.devtools("Accessibility.getFullAXTree")["nodes"] if not node.get("ignored")]
    found = [node for node in nodes if node.get("role", {}).get("value") in CONTROLS]
    assert len(found) >= 3, "the accessibility tree has only %d controls" % len(found)
    return [(node["role"]["value"], node.get("description")) for node in found if not node.get("name", {}).get("value", "").strip()]


def pale(browser):
    """Texts with too little contrast, in the colours of the moment."""
    found = browser.run(CONTRASTS)
    assert len(found) >= 5, "only %d texts are seen" % len(found)
    return [text for text in found + browser.run(DRAWN) if text[0] < CONTRAST_LEAST]


def outline(browser):
    """The width of the ring around what has the focus, by the keyboard."""
    return browser.run("return parseFloat(getComputedStyle(document.activeElement).outlineWidth) * (getComputedStyle(document.activeElement).outlineStyle !== 'none')")
