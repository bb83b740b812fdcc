"use strict";
// Runs before textual.js looks at the element: the socket lies beside the page, under whatever name this host has here.
const socket = new URL("ws", location.href);
socket.protocol = location.protocol === "https:" ? "wss:" : "ws:";
document.getElementById("terminal").dataset.sessionWebsocketUrl = socket.href;
document.getElementById("again").addEventListener("click", () => location.reload());
// The letters must be there before the terminal measures them.
document.fonts.load("16px 'Roboto Mono'");
// Keys reach the terminal without a click into it first.
new MutationObserver((_, observer) => {
  if (!document.body.classList.contains("-first-byte")) return;
  observer.disconnect();
  document.querySelector(".xterm-helper-textarea").focus();
}).observe(document.body, { attributes: true, attributeFilter: ["class"] });
