"use strict";

const LOOK_AGAIN = 15_000; // milliseconds
const byId = (id) => document.getElementById(id);
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
let asked = null;
let ready = false; // all three pictures are there, and nothing is on its way

function tell(id, text) {
  byId(id).textContent = text;
  byId(id).hidden = !text;
}

async function post(address) {
  const response = await fetch(`api/${address}`, { method: "POST" });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(body.error || `the server refused it (${response.status})`), { status: response.status });
  return body;
}

async function go(address) {
  ready = false;
  tell("problem", "");
  byId("again").hidden = true;
  try {
    await show(await post(address));
  } catch (error) {
    // it was answered in another tab, or by others meanwhile
    if (error.status === 409 && address !== "question") return go("question");
    tell("problem", error instanceof TypeError ? "The server does not answer. What you have answered is kept." : `${capital(error.message)}.`);
    byId("again").hidden = false;
    byId("again").focus();
  }
}

async function show(told) {
  asked = told;
  const isAsking = told.question !== null;
  byId("progress").textContent = `${told.complete} of ${told.questions} complete, yours ${told.yours}`;
  byId("undo").hidden = !told.can_undo;
  byId("question").hidden = !isAsking;
  tell("end", isAsking ? "" : ending(told));
  if (isAsking) await look(told.pictures);
  else if (told.is_waiting) setTimeout(() => asked === told && go("question"), LOOK_AGAIN);
  if (document.activeElement === document.body) byId("title").focus({ preventScroll: true });
  ready = true;
}

function ending(told) {
  if (told.is_waiting) return "The last questions are with other people at the moment. If one of them leaves, this page goes on by itself.";
  return told.yours === told.questions ? "You have answered every question. Thank you!" : "Every question has its answers. Thank you!";
}

async function look(pictures) {
  byId("question").classList.add("busy");
  const shown = Object.entries(pictures).map(([name, number]) => {
    const image = name === "reference" ? byId(name) : byId(name).querySelector("img");
    image.src = `api/pictures/${number}`;
    return image.decode();
  });
  try {
    await Promise.all(shown);
  } catch {
    throw new Error("a picture of this question cannot be shown; please tell whoever sent you here");
  }
  byId("question").classList.remove("busy");
}

function choose(side) {
  if (ready && asked.question !== null) go(`answer?${new URLSearchParams({ question: asked.question, token: asked.token, side })}`);
}

function undo() {
  if (ready && asked.can_undo) go("undo");
}

const ACTION_OF = {
  1: () => choose("left"),
  ArrowLeft: () => choose("left"),
  2: () => choose("right"),
  ArrowRight: () => choose("right"),
  Backspace: undo,
};

byId("left").addEventListener("click", () => choose("left"));
byId("right").addEventListener("click", () => choose("right"));
byId("undo").addEventListener("click", undo);
byId("again").addEventListener("click", () => go("question"));
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.repeat || event.key in ACTION_OF) event.preventDefault(); // a key that is held down answers once
  if (!event.repeat) ACTION_OF[event.key]?.();
});

go("question");
