// A word of the glossary says what it means when it is pointed at, or reached by the keyboard.
document.addEventListener("DOMContentLoaded", () => {
  const bubble = Object.assign(document.createElement("div"), { className: "definition", id: "definition", hidden: true });
  bubble.setAttribute("role", "tooltip");
  document.body.append(bubble);
  let word = null; // whose meaning is shown
  const hide = () => { word = null; bubble.hidden = true; };
  const place = () => {
    if (!word) return;
    const { left, bottom, top } = word.getBoundingClientRect();
    const room = document.documentElement.clientWidth - bubble.offsetWidth - 8;
    const below = bottom + 6 + bubble.offsetHeight < window.innerHeight;
    bubble.style.left = `${Math.max(8, Math.min(left, room))}px`;
    bubble.style.top = `${below ? bottom + 6 : top - 6 - bubble.offsetHeight}px`;
  };
  const show = (link) => {
    word = link;
    bubble.textContent = link.dataset.definition;
    bubble.hidden = false;
    place();
  };
  for (const link of document.querySelectorAll("article a[title][href*='#term-']")) {
    link.dataset.definition = link.title;
    link.removeAttribute("title");
    link.setAttribute("aria-describedby", bubble.id);
    link.addEventListener("mouseenter", () => show(link));
    link.addEventListener("focus", () => show(link));
    link.addEventListener("mouseleave", hide);
    link.addEventListener("blur", hide);
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("scroll", place, { passive: true });
});
