/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * step: labelled instants of all that changes a store, at which the kill tests end the process.
 *
 * In the product a step is nothing. With -DZCRAM_STEPS, which only the tests are built with, it calls
 * step_reached(), which the test provides and which may be called from any thread, under any lock.
 *
 * The steps, each by the order in which one operation passes them:
 *
 *	"write: begin"			nothing has changed
 *	"write: leaf marked"		the leaf of the slot table is in use
 *	"write: cell taken"		the cell carries its owner; nothing names it
 *	"write: payload copied"		the payload stands in the cell; nothing names it
 *	"write: word interned"		the word stands in the table; nothing names it
 *	"write: slot locked"
 *	"write: slot swapped"		the slot names the new content; the old cell is nobody's
 *	"write: old freed"
 *	"recompress: cell taken"	the cell carries its owner; nothing names it
 *	"recompress: payload copied"	the shorter payload stands in the cell; nothing names it
 *	"recompress: given up"		the page was touched meanwhile: the cell is a hole again
 *	"recompress: slot swapped"	the slot names the shorter payload; the old cell is nobody's
 *	"recompress: old freed"
 *	"recompress: marked"		the slot says that the page was tried
 *	"part: slot locked"		a partial write has locked its page
 *	"part: placed"			the merged page stands in a cell; nothing names it
 *	"trim: slot locked"
 *	"trim: slot swapped"		the slot is empty; the old cell is nobody's
 *	"trim: old freed"
 *	"writeback: appended"		the payload is in a buffer, on its way to the backing store
 *	"writeback: slot swapped"	it is there, and the slot names it; the cell is nobody's
 *	"writeback: cell freed"
 *	"writeback: object moved"	cleaning: the slot names the new place; the old one is dead
 *	"bring back: cell taken"	the cell carries its owner; nothing names it
 *	"bring back: payload copied"	the payload stands in the cell; the slot names the backing store
 *	"backing: forgotten"		the store says that it has no backing store, and no slot does
 *	"backing: uuid written"		the backing store's name is there, and not in force
 *	"backing: known"		it is; no slot names anything there yet
 *	"backing: claimed"		each slot that names the backing store is right, or damaged
 *	"dict: bytes written"		a dictionary stands in the store, and is not live
 *	"dict: live"			it is; no object names it
 *	"dict: retired"			no object names it, and it is not live any more
 *	"zspage: tagged"		a zspage was made: its tag is set, no cell is taken
 *	"zspage: untagged"		a zspage is empty: its tag is cleared, its pages are still its own
 *	"cell: put"			a cell has become a hole
 *	"move: cell taken"		compaction, squeezing, migration: the target carries the owner
 *	"move: copied"			relocation: the object stands twice; the slot names the old one
 *	"move: swapped"			relocation: the slot names the new one
 *	"move: source put"
 *	"lift: cell taken"		a cell of a larger class carries the owner
 *	"lift: moved"
 *	"lower: cell taken"		a cell of the object's own class carries the owner
 *	"lower: moved"
 *	"compact: zspage emptied"	compaction has emptied a zspage
 *	"lift: zspage emptied"		the same of lifting
 *	"squeeze: step"			a zspage's free list was rebuilt
 *	"migrate: copy made"		a zspage was made to move another into
 *	"migrate: zspage moved"
 *	"trim: tail given up"		the tail of a zspage is about to be released
 *	"trim: tail released"
 *	"release: spare given up"	spare pages are about to be released
 *	"release: spare released"
 *	"commit: spare"			pages were committed for the reserve
 *	"format: begin"			a store is being made; nothing is written
 *	"format: emptied"		what was in the store is released
 *	"format: magic"			the header is recognised, and as never finished
 *	"format: header"		all of the header is written but that it is complete
 *	"format: complete"
 *	"recover: begin"
 *	"recover: zspages made"		from tags; no tag is changed yet
 *	"recover: slots checked"	locks are cleared, what cannot be trusted is damaged
 *	"recover: zspage rebuilt"	the cells of one zspage that nobody names are holes
 *	"recover: zspage dropped"	the tag of one zspage without objects is cleared
 *	"recover: cells rebuilt"	all zspages are; slots that a cell belongs to are locked
 *	"recover: slots settled"	locks are cleared again
 *	"recover: complete"		the generation is counted up
 *
 * And of what zcramd does with servers, which the next zcramd comes to, and not the next server:
 *
 *	"succession: started"		a new server has been started, that waits
 *	"succession: ready"		it says so; the old one has not been asked for anything
 *	"call: sent"			a server has been asked for something: to hand over, too
 *	"succession: handed over"	the old one has answered
 *	"succession: serves"		the new one does
 *	"succession: old ended"
 *	"renewal: given"		the kernel has a new connection, that no server knows of
 *	"adoption: server found"	it has said by what numbers it has its connections
 *	"adoption: taken"		they are ours too
 */
#ifndef ZCRAM_STEP_H
#define ZCRAM_STEP_H

#ifdef ZCRAM_STEPS
void step_reached(const char *name);
#define STEP(name) step_reached(name)
#else
#define STEP(name) ((void)0)
#endif

#endif
