// The log by byte offset: each call brings what came since the last one.
import { fileSize } from "./usage.js";

const LETTERS_MAX = 2_000_000;

export class Log {
  // `words.gap` says how many bytes were left out; `done` is told when the last byte is here.
  constructor(run, lines, words, done) {
    Object.assign(this, { run, lines, words, done, offset: 0, count: 0, reading: false, more: false });
    this.size = document.getElementById("log-size");
    lines.textContent = ""; // what the page brought is for readers without a script
  }

  async read() {
    if (this.reading) { this.more = true; return; }
    this.reading = true;
    do {
      this.more = false;
      try { while (await this.part()); } catch { /* the socket's own return asks again */ }
    } while (this.more);
    this.reading = false;
  }

  // Whether it brought anything.
  async part() {
    const answer = await fetch(`/api/v1/runs/${this.run}/log?offset=${this.offset}`);
    if (!answer.ok) return false;
    const part = await answer.json();
    const { lines } = this;
    const atBottom = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 8;
    if (part.gap) lines.append(`\n[… ${this.words.gap.replace("%d", part.gap[1] - part.gap[0])} …]\n`);
    if (part.text) lines.append(part.text);
    this.count += part.text.split("\n").length - 1;
    this.size.textContent = this.words.size.replace("%l", this.count).replace("%s", fileSize(part.total));
    if (lines.textContent.length > LETTERS_MAX) lines.textContent = lines.textContent.slice(-LETTERS_MAX);
    if (atBottom) lines.scrollTop = lines.scrollHeight;
    const moved = part.offset > this.offset;
    this.offset = part.offset;
    if (part.done) this.done();
    return moved;
  }
}
