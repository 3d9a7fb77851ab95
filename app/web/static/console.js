// Comfort only: every page does its work without this.
"use strict";

const LOCAL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

// Times in the reader's own zone.
function localise(within) {
  for (const time of within.querySelectorAll("time[data-local]")) {
    time.title = time.textContent;
    time.textContent = LOCAL.format(new Date(time.dateTime));
    time.removeAttribute("data-local");
  }
}

// <div id="..." data-refresh="url" data-every="2000" data-also="id id">: replaced by what the address answers, for as long
// as the answer asks for it again. Those named in data-also are replaced only where their data-is has changed: what has
// the focus, or was opened, is left alone. Only our own server's pages are ever asked.
function refresh(part) {
  if (!part.dataset.refresh) return;
  setTimeout(async () => {
    try {
      const answer = await fetch(part.dataset.refresh, { headers: { "X-Part": part.id } });
      if (answer.ok && !answer.redirected) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const made = page.getElementById(part.id);
        if (made) {
          for (const id of (part.dataset.also || "").split(" ").filter(Boolean)) {
            const old = document.getElementById(id), fresh = page.getElementById(id);
            if (old && fresh && old.dataset.is !== fresh.dataset.is) renew(old, fresh);
          }
          renew(part, made);
          return;
        }
      }
    } catch { /* away for a moment: asked again */ }
    refresh(part);
  }, Number(part.dataset.every) || 2000);
}

function renew(old, fresh) {
  old.replaceWith(fresh);
  prepare(fresh);
}

// <p data-said-by="id" hidden>: said to screen readers by that live region, when it reads differently.
function say(words) {
  const region = document.getElementById(words.dataset.saidBy);
  if (region && region.textContent !== words.textContent) region.textContent = words.textContent;
}

// <input data-filter="list-id">: shows only those children of the list whose text has all words.
function filter(input) {
  const list = document.getElementById(input.dataset.filter);
  const show = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const item of list.children) {
      const text = item.textContent.toLowerCase();
      item.hidden = !words.every((word) => text.includes(word));
    }
  };
  input.addEventListener("input", show);
  // Not the form's first button: whoever searches has not finished.
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  input.hidden = false;
  show();
}

// Without files a form is sent as most are: its parts are not counted.
function content(form, button) {
  const data = new FormData(form, button);
  return form.enctype === "multipart/form-data" ? data : new URLSearchParams(data);
}

// <form data-preview="/address" data-into="id id">: what the form would do, shown while it is filled in; with
// data-at-once from the beginning, and with data-follow by another page where the answer leads there.
function preview(form) {
  let waiting, asked = 0;
  const ask = async () => {
    const mine = ++asked;
    const answer = await fetch(form.dataset.preview, { method: "POST", body: content(form), headers: { "X-Part": form.dataset.into } });
    if (answer.redirected && "follow" in form.dataset) location.assign(answer.url);
    if (!answer.ok || answer.redirected || mine !== asked || !form.isConnected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of form.dataset.into.split(" ")) {
      const made = page.getElementById(id);
      if (made) {
        document.getElementById(id)?.replaceWith(made);
        localise(made);
      }
    }
  };
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(() => ask().catch(() => {}), 400); };
  // What has no name is not sent: a search box changes nothing.
  const typed = (event) => { if (event.target.name) soon(); };
  form.addEventListener("input", typed);
  form.addEventListener("change", typed);
  if ("atOnce" in form.dataset) soon();
}

// <div data-when="id" data-is="value">: shown only while that choice has that value.
function when(part) {
  const choice = document.getElementById(part.dataset.when);
  const show = () => { part.hidden = choice.value !== part.dataset.is; };
  choice.addEventListener("change", show);
  show();
}

// <button data-swap="id">: its form is sent without leaving the page, and that part of it made anew by the answer.
function swap(button) {
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    const form = button.form, part = document.getElementById(button.dataset.swap);
    try {
      // Not form.action: a field of that name would be found under it.
      const answer = await fetch(form.getAttribute("action"), { method: "POST", body: content(form, button) });
      const made = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.id);
      if (!made || answer.redirected) throw new Error("another page");
      part.replaceWith(made);
      prepare(made);
      made.querySelector("[autofocus]")?.focus();
    } catch {
      button.click(); // as without a script
    }
  }, { once: true });
}

function copy(button) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    field.select();
    await navigator.clipboard.writeText(field.value);
    const before = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 1500);
  });
}

// <select data-submit>: chosen is sent.
function submit(select) {
  select.addEventListener("change", () => select.form.requestSubmit());
}

function prepare(within) {
  localise(within);
  if (within.dataset?.refresh) refresh(within);
  for (const part of within.querySelectorAll("[data-refresh]")) refresh(part);
  for (const input of within.querySelectorAll("input[data-filter]")) filter(input);
  for (const form of within.querySelectorAll("form[data-preview]")) preview(form);
  for (const words of within.querySelectorAll("[data-said-by]")) say(words);
  for (const button of within.querySelectorAll("button[data-copy]")) copy(button);
  for (const select of within.querySelectorAll("select[data-submit]")) submit(select);
  for (const part of within.querySelectorAll("[data-when]")) when(part);
  for (const button of within.querySelectorAll("button[data-swap]")) swap(button);
}

prepare(document);
