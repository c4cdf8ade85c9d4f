"use strict";

const byId = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
let model = null;
let chosen = null; // the picture that is shown, to ask again when the tick changes
let asked = 0; // only the answer to the last question is shown

function make(tag, text = "", properties = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  return Object.assign(element, properties);
}

function tell(id, text) {
  byId(id).textContent = text;
  byId(id).hidden = !text;
}

async function answerOf(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error || `The server refused it (${response.status}).`);
  return body;
}

async function look(picture) {
  chosen = picture;
  const question = ++asked;
  tell("problem", "");
  tell("status", "Looking…");
  byId("result").hidden = true;
  try {
    if (picture.size > model.most_bytes) throw new Error(`A picture may have at most ${model.most_bytes / 1e6} MB.`);
    const address = `api/predict?whole=${byId("whole").checked}`;
    const answer = await answerOf(await fetch(address, { method: "POST", body: picture }));
    if (question === asked) show(picture, answer);
  } catch (error) {
    if (question !== asked) return;
    tell("status", "");
    tell("problem", error instanceof TypeError ? "The server does not answer; is it still running?" : capital(error.message));
  }
}

function show(picture, answer) {
  const preview = byId("preview");
  URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(picture);
  byId("picture").querySelector("svg")?.remove();
  byId("picture").append(drawing(answer));
  const count = answer.found === 1 ? "1 face" : `${answer.found} faces`;
  const left = answer.found - answer.faces.length;
  byId("caption").textContent =
    `${answer.width} × ${answer.height} pixels, ${count}. ` +
    (answer.found ? "The square is what the model looks at." : "") +
    (left ? ` Something is said of the ${answer.faces.length} largest.` : "");
  byId("faces").replaceChildren(...answer.faces.map((face, at) => described(face, at, answer.faces.length)));
  byId("result").hidden = false;
  tell("status", answer.found ? `${count} found.` : "No face was found. If the picture is a face and nothing else, tick “The whole picture is one face”.");
  byId("seen").focus();
}

function drawing(answer) {
  const svg = (tag, attributes, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.textContent = text;
    return element;
  };
  const canvas = svg("svg", { viewBox: `0 0 ${answer.width} ${answer.height}`, "aria-hidden": "true" });
  answer.faces.forEach(({ square }, at) => {
    const [x, y] = [square.x + 0.5, square.y + 0.5];
    const place = { x: x - square.side / 2, y: y - square.side / 2, width: square.side, height: square.side };
    const turned = { ...place, transform: `rotate(${square.tilt} ${x} ${y})` };
    canvas.append(svg("rect", { ...turned, class: "halo" }), svg("rect", { ...turned, class: "box" }));
    const size = Math.max(answer.width, answer.height) / 18;
    if (answer.faces.length > 1) {
      canvas.append(svg("text", { x: Math.max(place.x, 0) + size / 3, y: Math.max(place.y, 0) + size, "font-size": size }, at + 1));
    }
  });
  return canvas;
}

function described(face, at, count) {
  const card = make("article", "", { className: "card face" });
  const name = count > 1 ? `Face ${at + 1} of ${count}` : "Face";
  card.append(make("h3", face.expression ? `${name}: ${face.expression}` : name));
  if (face.yaw !== null) card.append(make("p", `Seen from ${face.yaw.toFixed(0)}°`));
  if (face.probabilities) card.append(bars(face.probabilities));
  if (face.sub_class) card.append(make("h4", `Sub-class ${face.sub_class}: training faces typical of it`), gallery(face.typical));
  card.append(make("h4", "Training faces nearest to this one"), gallery(face.nearest));
  return card;
}

function bars(probabilities) {
  const list = make("ul", "", { className: "bars" });
  const order = Object.entries(probabilities).sort((one, other) => other[1] - one[1]);
  order.forEach(([name, share], at) => {
    const [row, track, fill] = [make("li"), make("span", "", { className: "track" }), make("div", "", { className: "fill" })];
    if (!at) row.className = "first";
    track.setAttribute("aria-hidden", "true");
    fill.style.width = `${100 * share}%`;
    track.append(fill);
    row.append(make("span", name), track, make("span", percent(share), { className: "number" }));
    list.append(row);
  });
  return list;
}

function gallery(rows) {
  const list = make("ol", "", { className: "gallery" });
  for (const { row, expression, sub_class, distance } of rows) {
    const item = make("li");
    if (model.shows_faces) {
      const image = make("img", "", { src: `api/faces/${row}`, alt: `Training face: ${expression}`, loading: "lazy", width: 76, height: 76 });
      image.addEventListener("error", () => image.remove()); // it is gone from the directory
      item.append(image);
    }
    item.append(make("span", model.classes.length ? sub_class : expression), make("span", `distance ${distance.toPrecision(3)}`));
    list.append(item);
  }
  return list;
}

function introduce() {
  const measured = (one) => `${percent(one.value)} (95 % interval ${percent(one.low)} to ${percent(one.high)})`;
  const aliases = model.aliases.length ? ` (${model.aliases.join(", ")})` : "";
  const rows = [
    ["Model", `${model.name} version ${model.version}${aliases}`],
    ["Trained as", model.title],
    ["Training faces", String(model.num_faces)],
    ...model.metrics.map((one) => [one.label, measured(one)]),
    ["Says", model.classes.length ? model.classes.join(", ") : "whose face is like whose, and no expression"],
    ["Code", model.git_commit ?? "not known"],
  ];
  for (const [label, value] of rows) {
    const pair = make("div");
    pair.append(make("dt", label), make("dd", value));
    byId("about").append(pair);
  }
  const said = model.verdict ? [`The gate's verdict: ${model.verdict}. ${capital(model.reason ?? "")}`] : [];
  if (model.rolled_back) said.push(`Rolled back: ${model.rolled_back}`);
  if (said.length) tell("verdict", said.join(". "));
  byId("limits").textContent = `PNG, JPEG, BMP or TIFF, at most ${model.most_bytes / 1e6} MB.`;
  byId("whole").checked = model.whole;
}

function offerSamples() {
  model.samples.forEach((expression, number) => {
    const button = make("button", "", { type: "button" });
    button.append(make("img", "", { src: `api/samples/${number}`, alt: "", width: 92, height: 92 }), make("span", expression));
    button.addEventListener("click", async () => look(await (await fetch(`api/samples/${number}`)).blob()));
    byId("samples").append(button);
  });
}

function listen() {
  const drop = byId("drop");
  byId("file").addEventListener("change", ({ target }) => target.files[0] && look(target.files[0]));
  byId("whole").addEventListener("change", () => chosen && look(chosen));
  // a picture that misses the field would else replace the page
  for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
  drop.addEventListener("dragover", () => drop.classList.add("over"));
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    drop.classList.remove("over");
    const files = [...event.dataTransfer.files];
    if (files.length === 1) look(files[0]);
    else tell("problem", "Drop one picture at a time.");
  });
}

async function begin() {
  try {
    model = await answerOf(await fetch("api/model"));
  } catch {
    return tell("problem", "The server does not answer; is it still running?");
  }
  introduce();
  offerSamples();
  listen();
}

begin();
