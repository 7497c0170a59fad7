// The page works without this. With it, the figures are renewed every five seconds, and what comes in for a category is shown as it comes.
// What is shown is what the server has written: nothing is put together from strings here.
"use strict";

const every = 5000;
const live = document.getElementById("live");
const state = document.getElementById("state");
let paused = false;

function tell(text) {
	if (state.textContent !== text) state.textContent = text;
}

// busy is whether somebody would be disturbed: he writes into a field, or has marked some text.
function busy() {
	const at = document.activeElement;
	return (at && at.tagName === "INPUT" && live.contains(at)) || String(document.getSelection()) !== "";
}

async function renew() {
	if (paused || document.hidden || busy()) return;
	try {
		const answer = await fetch(location.href, { cache: "no-store" });
		if (!answer.ok) throw new Error(await answer.text());
		const next = new DOMParser().parseFromString(await answer.text(), "text/html");
		const fresh = next.getElementById("live");
		if (!fresh || busy() || paused) return;
		const focus = document.activeElement && document.activeElement.id;
		const scrolled = [...live.querySelectorAll(".scroll")].map((e) => e.scrollLeft);
		live.replaceChildren(...document.adoptNode(fresh).childNodes);
		live.querySelectorAll(".scroll").forEach((e, i) => { e.scrollLeft = scrolled[i] || 0; });
		if (focus && live.querySelector("#" + CSS.escape(focus))) document.getElementById(focus).focus({ preventScroll: true });
		document.title = next.title;
		live.classList.remove("stale");
		tell("");
	} catch (error) {
		live.classList.add("stale");
		tell("Not renewed: " + error.message + ". What is shown is old.");
	}
}

if (live && state) {
	const button = document.createElement("button");
	button.type = "button";
	button.textContent = "Pause";
	button.setAttribute("aria-pressed", "false");
	button.addEventListener("click", () => {
		paused = !paused;
		button.setAttribute("aria-pressed", String(paused));
		button.textContent = paused ? "Go on" : "Pause";
	});
	state.before(button);
	setInterval(renew, every);
}

// The live tail.
const tail = document.getElementById("tail");
const most = 2000; // lines

async function follow() {
	const answer = await fetch(tail.dataset.url, { cache: "no-store" });
	if (!answer.ok) throw new Error(await answer.text());
	const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = "";
	for (;;) {
		const { value, done } = await reader.read();
		if (done) return;
		const lines = (rest + value).split("\n");
		rest = lines.pop();
		const below = tail.scrollHeight - tail.scrollTop - tail.clientHeight < 40;
		for (const line of lines) tail.append(document.createTextNode(line + "\n"));
		while (tail.childNodes.length > most) tail.firstChild.remove();
		if (below) tail.scrollTop = tail.scrollHeight;
	}
}

if (tail) {
	tail.textContent = "";
	follow().then(() => tail.append("— the end —\n"), (error) => tail.append("— " + error.message + " —\n"));
}
