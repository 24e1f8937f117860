"use strict";
// Helpers that all pages share. The files of a page are one script.
const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);

// An element with properties, attributes (those with a dash, and role), listeners (functions) and children.
function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (key.includes("-") || key === "role" || key === "scope") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children.filter(child => child !== null && child !== undefined && child !== ""));
  return made;
}

// For screen readers.
function say(text) { byId("said").textContent = text; }

function themeButton() {
  return el("button", {type: "button", className: "theme", click: () => {
    const root = document.documentElement, now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  }}, "Light or dark");
}

// Copy a text; `place` is an open dialog, or the body.
async function copyText(text, button, what, place = document.body) {
  try {
    await navigator.clipboard.writeText(text);
  } catch (error) {  // a page without this right: select and copy
    const area = el("textarea", {value: text});
    place.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "Copied";
  say(`The ${what} is copied.`);
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}
