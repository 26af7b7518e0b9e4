const { times, frames } = data;
const slider = root.querySelector("input");
const button = root.querySelector("button");
const pictures = [...root.querySelectorAll("img")];
const last = times.length - 1;
let timer = 0;

function draw() {
  pictures.forEach((picture, row) => { picture.src = frames[row][+slider.value]; });
  root.querySelector(".when").textContent = `t = ${times[+slider.value]}`;
  root.dataset.step = slider.value;
}

function stop() {
  clearInterval(timer);
  timer = 0;
  button.textContent = "play";
}

button.addEventListener("click", () => {
  if (timer) return stop();
  if (+slider.value === last) slider.value = 0;
  draw();
  button.textContent = "pause";
  timer = setInterval(() => {
    slider.value = +slider.value + 1;
    draw();
    if (+slider.value === last) stop();
  }, 250);
});
slider.addEventListener("input", () => { stop(); draw(); });
draw();
