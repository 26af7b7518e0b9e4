// The icons of the theme (Font Awesome Free, CC BY 4.0) that the pages show.
const drawings = @DRAWINGS@;
document.addEventListener("DOMContentLoaded", () => {
  for (const icon of document.querySelectorAll("i[class*='fa-']")) {
    const name = [...icon.classList].find((kind) => kind in drawings);
    if (!name) continue;
    const [width, height, path] = drawings[name];
    const label = icon.getAttribute("aria-label");
    const drawing = `<path fill="currentColor" d="${path}"/>`;
    icon.innerHTML = `<svg class="drawn-icon" viewBox="0 0 ${width} ${height}">${drawing}</svg>`;
    if (!label) icon.setAttribute("aria-hidden", "true");
  }
});
