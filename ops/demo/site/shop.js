"use strict";

// Opens and closes the dialog named in a button's data-opens or data-closes. A button with data-careful moves the focus
// into the dialog, keeps it there and restores it; the dialogs that are barriers do not.
let opener = null;

function show(veil, careful) {
  veil.hidden = false;
  if (!careful) return;
  opener = document.activeElement;
  document.querySelectorAll("body > :not(.veil)").forEach((part) => { part.inert = true; });
  veil.querySelector("button, input, a[href]").focus();
}

function hide(veil) {
  veil.hidden = true;
  document.querySelectorAll("body > :not(.veil)").forEach((part) => {
    part.inert = false;
    part.removeAttribute("aria-hidden");
  });
  if (opener) opener.focus();
  opener = null;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-opens], [data-closes]");
  if (!button) return;
  if (button.dataset.opens) show(document.getElementById(button.dataset.opens), "careful" in button.dataset);
  else hide(document.getElementById(button.dataset.closes));
});

document.addEventListener("keydown", (event) => {
  const veil = document.querySelector(".veil[data-careful]:not([hidden])");
  if (event.key === "Escape" && veil) hide(veil);
});
