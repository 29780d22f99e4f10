/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/trainer.h"

#include <errno.h>

#include "tests/lib/check.h"
#include "tests/lib/content.h"

void trainer_init(struct trainer *t, struct device *device, const char *algorithm, int level)
{
	struct codec_method method;

	CHECK(codec_method_init(&method, algorithm, &level) == 0, "no method");
	method.filter = CODEC_FILTER_TRY;
	method.max_payload = ZS_MAX_SHARED;
	t->device = device;
	CHECK(codec_stream_new(&method, &t->codec) == 0, "no stream");
	CHECK(dicts_use(device, t->codec) >= 0, "no memory for a dictionary");
}

void trainer_fini(struct trainer *t)
{
	codec_stream_free(t->codec);
}

/* A stream of the device's, for counters, with the trainer's codec. */
static struct stream *borrow(struct trainer *t, struct codec_stream **ret_codec)
{
	struct stream *s = stream_get(t->device);

	*ret_codec = s->codec;
	s->codec = t->codec;
	return s;
}

static void give_back(struct trainer *t, struct stream *s, struct codec_stream *codec)
{
	s->codec = codec;
	stream_put(t->device, s);
}

static int read_page(void *opaque, uint64_t page, void *buf)
{
	struct trainer *t = opaque;
	struct codec_stream *codec;
	struct stream *s = borrow(t, &codec);
	struct backing_fetch object = {.payload = buf};
	struct fetch fetch = {.to = &object};
	int r = page_read(t->device, s, page, 0, DEVICE_PAGE_SIZE, buf, &fetch);

	fetch_end(t->device, &fetch);
	if (r == PAGE_AWAY)
		r = -EAGAIN;
	give_back(t, s, codec);
	return r;
}

static int use(struct trainer *t, int generation)
{
	int r = generation > 0 ? dicts_use(t->device, t->codec) : 0;

	return r < 0 ? r : generation;
}

int trainer_train(struct trainer *t)
{
	const struct dicts_source source = {.read = read_page, .opaque = t};

	return use(t, dicts_train(t->device, 1, &source));
}

static uint8_t made[DICT_SIZE_MAX];
static size_t made_len;

void trainer_prepare(void)
{
	static uint8_t pages[2 * DICT_PAGES_MIN][DEVICE_PAGE_SIZE];
	struct rng rng = rng_make(1);

	for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
		content_fill(&rng, CONTENT_TEXT, pages[i], DEVICE_PAGE_SIZE);
	CHECK(dict_train(pages, ARRAY_SIZE(pages), 1, made, sizeof(made), &made_len) == 0,
	      "not trained");
}

int trainer_add(struct trainer *t)
{
	if (made_len == 0)
		trainer_prepare();
	return use(t, dicts_add(t->device, made, made_len));
}

int trainer_recompress(struct trainer *t, uint64_t page)
{
	struct backing_fetch object = {0};
	struct fetch fetch = {.to = &object};
	struct codec_stream *codec;
	uint64_t waited = 0;
	struct stream *s;
	int r;

	if (slot_state(slot_peek(&t->device->slots[page])) != SLOT_POOL)
		return 0;
	s = borrow(t, &codec);
	/* The stream is kept, as the codec in it is the trainer's. */
	while ((r = page_write_part(t->device, s, page, 0, 0, "", &fetch)) == -EAGAIN) {
		r = zs_refill(t->device->pool, s->wanted, &waited);
		if (r < 0)
			break;
	}
	fetch_end(t->device, &fetch);
	if (r == PAGE_AWAY)
		r = 0; /* it has left the pool */
	give_back(t, s, codec);
	return r;
}
