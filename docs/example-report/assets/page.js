// Light or dark before anything is painted; then the button that switches, folded contents on a narrow screen, and a
// button beside each command that copies it. Without this script all of the page can still be read.
"use strict";
{
  const root = document.documentElement;
  const KEY = "mmbench-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");

  // Storage can be forbidden for pages opened from disk; then the choice lasts as long as the page is open.
  const remembered = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem(KEY, theme); } catch { /* the page works without */ } };
  const show = (theme) => { if (theme === "light" || theme === "dark") root.dataset.theme = theme; };
  const isDark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

  const themeButton = (button) => {
    const tell = () => button.setAttribute("aria-pressed", String(isDark()));
    button.hidden = false;
    button.addEventListener("click", () => {
      show(isDark() ? "light" : "dark");
      remember(root.dataset.theme);
      tell();
    });
    system.addEventListener("change", tell);
    tell();
  };

  const copyButton = (command) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      const code = command.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch { // not allowed here: the command is selected, for the reader to copy
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
    });
    command.append(button);
  };

  // A link to something folded opens it.
  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };

  show(remembered());
  addEventListener("hashchange", unfold);
  document.addEventListener("DOMContentLoaded", () => {
    themeButton(document.getElementById("theme"));
    document.getElementById("contents").open = matchMedia("(min-width: 70rem)").matches;
    unfold();
    document.querySelectorAll(".command").forEach(copyButton);
  });
}
