// What is wrong with how a console page is laid out: text that is cut, sticks out, overlaps or is too pale to read.
() => {
  const problems = [];
  const say = (what, e, more) => problems.push(`${what}: .${e.className} "${(e.innerText || "").slice(0, 30)}" ${more || ""}`);
  scrollTo(0, 0);
  if (document.documentElement.scrollWidth > innerWidth) problems.push("the page scrolls sideways");
  const all = [...document.querySelectorAll(".zg *")].filter(
    (e) => !e.closest("svg") && e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && e.tagName !== "OPTION"
  );
  const texts = all.filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
  const lines = (e) => {
    const r = document.createRange(); r.selectNodeContents(e);
    const air = 0.22 * parseFloat(getComputedStyle(e).fontSize);  // a CJK font's box is taller than its glyphs
    return [...r.getClientRects()].filter((b) => b.width > 1).map(
      (b) => ({ left: b.left, right: b.right, top: b.top + air, bottom: b.bottom - air }));
  };
  const shortened = (e) => getComputedStyle(e).textOverflow === "ellipsis";
  for (const e of texts) {
    if (shortened(e)) { if (e.scrollWidth > e.clientWidth + 1) say("shortened", e); continue; }
    for (const t of lines(e)) {
      if (t.left < -0.5 || t.right > innerWidth + 0.5) say("outside", e);
      for (let p = e; p && !p.classList.contains("zg"); p = p.parentElement) {
        if (getComputedStyle(p).display === "inline" || getComputedStyle(p).display === "contents") continue;
        const b = p.getBoundingClientRect();
        const scrolls = ["auto", "scroll"].includes(getComputedStyle(p).overflowY);
        if (t.left < b.left - 1 || t.right > b.right + 1) say("out of ." + p.className, e);
        if (!scrolls && (t.top < b.top - 1 || t.bottom > b.bottom + 1)) say("out of ." + p.className, e);
        if (scrolls) break;
      }
    }
  }
  const seen = texts.filter((e) => !e.closest("pre")).map((e) => [e, lines(e)]);
  for (const [i, [a, mine]] of seen.entries()) for (const [b, others] of seen.slice(i + 1)) {
    if (a.contains(b) || b.contains(a)) continue;
    for (const p of mine) for (const q of others) {
      const w = Math.min(p.right, q.right) - Math.max(p.left, q.left), h = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      if (w > 2 && h > 2) say("overlap", a, `and "${b.innerText.slice(0, 30)}"`);
    }
  }
  // contrast, WCAG 2.2 (1.4.3)
  const numbers = (c) => { const v = c.match(/[\d.]+/g).map(Number); return { r: v[0], g: v[1], b: v[2], a: v.length > 3 ? v[3] : 1 }; };
  const light = ({ r, g, b }) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  for (const e of texts) {
    const s = getComputedStyle(e), size = parseFloat(s.fontSize);
    const need = size >= 24 || (size >= 18.66 && parseInt(s.fontWeight) >= 700) ? 3 : 4.5;
    let ground = { r: 255, g: 255, b: 255 };
    for (let p = e; p; p = p.parentElement) {
      const c = numbers(getComputedStyle(p).backgroundColor);
      if (c.a === 1) { ground = c; break; }
    }
    const ink = numbers(s.color), mixed = { r: 0, g: 0, b: 0 };
    for (const part of ["r", "g", "b"]) mixed[part] = ink[part] * ink.a + ground[part] * (1 - ink.a);
    const x = light(mixed), y = light(ground), ratio = (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
    if (ratio < need) say("pale", e, ratio.toFixed(2));
  }
  return [...new Set(problems)];
}
