
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const frames = data.frames;
  const at = (id) => document.getElementById(id);
  // With reduced motion a step stays longer, and nothing plays unless it is asked for.
  const pause = matchMedia("(prefers-reduced-motion: reduce)").matches ? 4000 : 2000;
  let language = data.language;
  let now = Math.min(Math.max(parseInt(location.hash.replace("#step=", ""), 10) - 1 || 0, 0), Math.max(frames.length - 1, 0));
  let timer = null;

  const row = (cells, name) => {
    const line = document.createElement("tr");
    if (name) line.className = name;
    for (const text of cells) line.appendChild(document.createElement("td")).textContent = text;
    return line;
  };

  const label = () => {
    const words = data.words[language];
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    at("language").textContent = language === "zh" ? "English" : "中文";
    at("language").lang = language === "zh" ? "en" : "zh-CN";
    for (const name of ["first", "back", "forth", "keys", "help"]) at(name).textContent = words[name];
    for (const name of ["code", "registers", "console"]) at(name + "-title").textContent = words[name];
    at("play").textContent = timer === null ? words.play : words.pause;
    at("slider").setAttribute("aria-label", words.slider);
  };

  const show = () => {
    const words = data.words[language];
    const frame = frames[now];
    at("slider").max = Math.max(frames.length - 1, 0);
    at("step").textContent = words.step.replace("{number}", frame ? now + 1 : 0).replace("{count}", frames.length);
    if (!frame) return;
    at("slider").value = now;
    at("slider").setAttribute("aria-valuetext", at("step").textContent);
    at("what").textContent = frame.told[language][0];
    at("why").textContent = frame.told[language][1];
    at("notes").textContent = frame.notes.map((note) => "# " + note).join("\n");
    at("place").textContent = frame.phase + "  " + frame.place;
    at("when").textContent = frame.ms + " ms, cpu" + frame.cpu;
    at("code").replaceChildren(...frame.code.map((line) =>
      row([line[3] ? "▶" : " ", line[0], line[1] + (line[4] ? " *" : ""), line[2]], line[3] ? "next" : "")));
    at("registers").replaceChildren(...frame.registers.map((line) =>
      row([line[0], line[1], line[2] ? "*" : " "], line[2] ? "changed" : "")));
    at("console").textContent = frame.console;
    at("console").scrollTop = at("console").scrollHeight;
    history.replaceState(null, "", "#step=" + (now + 1));
  };

  const go = (where) => {
    now = Math.min(Math.max(where, 0), Math.max(frames.length - 1, 0));
    show();
  };
  const stop = () => {
    if (timer !== null) clearInterval(timer);
    timer = null;
    label();
  };
  const play = () => {
    if (timer !== null) return stop();
    if (now === frames.length - 1) go(0);
    timer = setInterval(() => (now < frames.length - 1 ? go(now + 1) : stop()), pause);
    label();
  };

  at("first").addEventListener("click", () => { stop(); go(0); });
  at("back").addEventListener("click", () => { stop(); go(now - 1); });
  at("forth").addEventListener("click", () => { stop(); go(now + 1); });
  at("play").addEventListener("click", play);
  at("slider").addEventListener("input", (event) => { stop(); go(Number(event.target.value)); });
  at("language").addEventListener("click", () => { language = language === "zh" ? "en" : "zh"; label(); show(); });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const onButton = event.target instanceof HTMLButtonElement;
    const moves = { ArrowRight: now + 1, ArrowLeft: now - 1, PageDown: now + 10, PageUp: now - 10, Home: 0, End: frames.length - 1 };
    if (event.key in moves) { event.preventDefault(); stop(); go(moves[event.key]); }
    else if (event.key === " " && !onButton) { event.preventDefault(); play(); }
  });
  label();
  show();
})();
