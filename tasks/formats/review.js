"use strict";
{
  const films = [...document.querySelectorAll(".stage figure")];
  const formats = document.querySelector(".formats");
  const rows = [...document.querySelectorAll("tr[data-from]")];
  let film = films[0];
  const video = () => film.querySelector("video");

  const show = (chosen) => {
    const before = video();
    const [at, isPlaying] = [before.currentTime, !before.paused];
    before.pause();
    film = films[chosen];
    films.forEach((one) => { one.hidden = one !== film; });
    [...formats.children].forEach((one, place) => one.setAttribute("aria-pressed", String(place === chosen)));
    if (at > 0) video().currentTime = at;
    if (isPlaying) video().play().catch(() => {});
  };

  const mark = () => {
    const now = video().currentTime;
    for (const row of rows) {
      const isNow = Number(row.dataset.from) <= now && now < Number(row.dataset.to);
      if (isNow) row.setAttribute("aria-current", "true"); else row.removeAttribute("aria-current");
    }
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-at]");
    if (!link || !film || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    video().currentTime = Number(link.dataset.at);
    video().play().catch(() => {});
    const { top, bottom } = video().getBoundingClientRect();
    if (top < 0 || bottom > innerHeight) video().scrollIntoView({ block: "start" });
  });

  if (films.length > 1) {
    formats.hidden = false;
    formats.addEventListener("click", (event) => {
      const place = [...formats.children].indexOf(event.target.closest("button"));
      if (place >= 0) show(place);
    });
    show(0);
  }
  films.forEach((one) => one.querySelector("video").addEventListener("timeupdate", mark));
  films.forEach((one) => one.querySelector("video").addEventListener("seeked", mark));
}
