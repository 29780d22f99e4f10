// SPDX-License-Identifier: BSD-3-Clause
// Node at work: what a chat server holds: objects, maps, closures, strings, JSON, buffers; 200 MiB.
'use strict';
const fs = require('fs');
const path = require('path');

let state = 12345; // the same content in every run
function random(n) {
	state = (Math.imul(state, 1103515245) + 12345) >>> 0;
	return ((state >>> 8) / (1 << 24)) * n;
}
const int = (n) => Math.floor(random(n));
const ROOMS = ['general', 'kernel', 'music', 'build', 'random', 'help'];
const SOURCE = fs.readFileSync(__filename, 'utf8');
const WORDS = SOURCE.split(/\W+/).concat(Object.keys(fs), Object.keys(path), Object.keys(globalThis));

function sentence() {
	const words = [];
	for (let n = 4 + int(30); n > 0; n--)
		words.push(WORDS[int(WORDS.length)]);
	return words.join(' ');
}

class Message {
	constructor(id) {
		this.id = id;
		this.room = ROOMS[int(ROOMS.length)];
		this.author = 'user' + int(20000);
		this.text = sentence();
		this.sent = new Date(1.6e12 + random(1e11));
		this.score = random(5);
		this.reactions = int(4) === 0 ? {thumbs: int(20), hearts: int(10)} : null;
	}
}

const messages = [];
for (let i = 0; i < 220000; i++)
	messages.push(new Message(i));
const authors = new Map();
for (const message of messages) {
	if (!authors.has(message.author))
		authors.set(message.author, []);
	authors.get(message.author).push(message);
}
const index = new Map(messages.map((m) => [m.room + '/' + m.author + '/' + m.id, m]));
const handlers = messages.slice(0, 60000).map((m) => () => m.text.length + m.score);
const history = JSON.stringify(messages.slice(0, 80000)); // on its way to a client ...
const restored = JSON.parse(history); // ... and read back by one
const packets = messages.slice(0, 20000).map((m) => Buffer.from(JSON.stringify(m)));
const scores = Float64Array.from(messages, (m) => m.score);
const modules = fs.readdirSync(path.dirname(__filename));

globalThis.kept = {messages, authors, index, handlers, history, restored, packets, scores, modules};
console.log('ready');
process.stdin.on('end', () => process.exit(0)).resume();
