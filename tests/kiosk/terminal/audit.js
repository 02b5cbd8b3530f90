// Everything that is wrong with the screen as it stands: what lies outside it, is cut, overlaps, is too small to press or too pale.
() => {
  const problems = [];
  const say = (what, e, more) => problems.push(`${what}: .${e.className} "${(e.innerText || "").slice(0, 30)}" ${more || ""}`);
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth || root.scrollHeight > innerHeight) problems.push("the page scrolls");
  const all = [...document.querySelectorAll(".screen, .screen *")].filter(
    (e) => !e.closest("svg") && !e.closest(".mirror-wait") && e.checkVisibility({ visibilityProperty: true })
  );
  for (const e of all) {
    const b = e.getBoundingClientRect();
    if (b.width && (b.left < -0.5 || b.top < -0.5 || b.right > innerWidth + 0.5 || b.bottom > innerHeight + 0.5)) say("outside", e);
    if (e.tagName === "BUTTON" && (b.width < 71.5 || b.height < 71.5)) say("small target", e, `${b.width}x${b.height}`);
  }
  const texts = all.filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
  // a CJK font's box is half as tall again as its glyphs: judge the glyphs
  const shortened = (e) => getComputedStyle(e).textOverflow === "ellipsis" || getComputedStyle(e).webkitLineClamp !== "none";
  const area = (e) => {
    if (shortened(e)) return e.getBoundingClientRect();
    const r = document.createRange(); r.selectNodeContents(e);
    const b = r.getBoundingClientRect(), air = 0.22 * parseFloat(getComputedStyle(e).fontSize);
    return { left: b.left, right: b.right, top: b.top + air, bottom: b.bottom - air };
  };
  for (const e of texts) {
    const t = area(e);
    for (let p = e.parentElement; p && !p.classList.contains("screen"); p = p.parentElement) {
      const b = p.getBoundingClientRect();
      if (t.left < b.left - 1 || t.right > b.right + 1 || t.top < b.top - 1 || t.bottom > b.bottom + 1) say("out of ." + p.className, e);
    }
    if (parseFloat(getComputedStyle(e).fontSize) < 15) say("small text", e, getComputedStyle(e).fontSize);
  }
  for (const [i, a] of texts.entries()) for (const b of texts.slice(i + 1)) {
    const p = area(a), q = area(b);
    const w = Math.min(p.right, q.right) - Math.max(p.left, q.left), h = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (w > 2 && h > 2) say("overlap", a, `and "${b.innerText.slice(0, 30)}"`);
  }
  // contrast, WCAG 2.2
  const numbers = (c) => { const v = c.match(/[\d.]+/g).map(Number); return { r: v[0], g: v[1], b: v[2], a: v.length > 3 ? v[3] : 1 }; };
  const light = ({ r, g, b }) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const grounds = (e) => {
    for (let p = e; p; p = p.parentElement) {
      const s = getComputedStyle(p);
      if (s.backgroundImage.includes("gradient")) return s.backgroundImage.match(/rgba?\([^)]*\)/g).map(numbers);
      const c = numbers(s.backgroundColor);
      if (c.a === 1) return [c];
    }
    return [{ r: 255, g: 255, b: 255 }];
  };
  for (const e of texts) {
    if (e.closest("[disabled]")) continue; // WCAG exempts what cannot be pressed
    const s = getComputedStyle(e), size = parseFloat(s.fontSize);
    const need = size >= 24 || (size >= 18.66 && parseInt(s.fontWeight) >= 700) ? 3 : 4.5;
    const ink = light(numbers(s.color));
    for (const ground of grounds(e)) {
      const g = light(ground), ratio = (Math.max(ink, g) + 0.05) / (Math.min(ink, g) + 0.05);
      if (ratio < need) say("pale", e, ratio.toFixed(2));
    }
  }
  return problems;
}
