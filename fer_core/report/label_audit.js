"use strict";
const form = document.getElementById("audit");
const suspects = [...form.querySelectorAll("fieldset")];
let isSaved = true;

function corrected(suspect) {
  const choice = suspect.querySelector("input:checked").value;
  return choice === "other" ? suspect.querySelector("select").value : choice;
}

function cell(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function table() {
  const rows = suspects.map((suspect) => {
    const { sample, path, label, note } = suspect.dataset;
    return [sample, path, label, corrected(suspect), note];
  });
  return [["sample_id", "source_path", "label", "corrected", "note"], ...rows]
    .map((row) => row.map(cell).join(",") + "\r\n")
    .join("");
}

function tell() {
  for (const suspect of suspects) suspect.parentElement.classList.toggle("decided", corrected(suspect) !== "");
  const changed = suspects.filter((suspect) => corrected(suspect) !== "").length;
  document.getElementById("told").textContent = `${changed} of ${suspects.length} labels changed`;
}

form.addEventListener("change", (event) => {
  if (event.target.matches("select")) event.target.parentElement.querySelector("[value=other]").checked = true;
  isSaved = false;
  tell();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
  link.download = "corrections.csv";
  link.click();
  isSaved = true;
});
addEventListener("beforeunload", (event) => isSaved || event.preventDefault());
tell();
