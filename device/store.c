/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/store.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#include "common/fnv1a.h"
#include "common/os.h"
#include "common/step.h"

#define EXTENT_BYTES ((uint64_t)ZS_EXTENT_PAGES * ZS_PAGE_SIZE)

static struct store_layout layout_of(uint64_t size)
{
	uint64_t pages = div_round_up(size, DEVICE_PAGE_SIZE);
	uint64_t slots = align_up(pages * sizeof(slot_word), DEVICE_PAGE_SIZE);
	uint64_t leaves = div_round_up(slots / DEVICE_PAGE_SIZE, 64) * sizeof(uint64_t);
	struct store_layout at = {.device_size = size, .leaves = DEVICE_PAGE_SIZE};

	at.arena_bytes = zs_arena_bytes(pages * DEVICE_PAGE_SIZE);
	at.slots = at.leaves + align_up(leaves, DEVICE_PAGE_SIZE);
	at.words = at.slots + slots;
	at.dicts = at.words + WORDS_ENTRIES * sizeof(uint64_t);
	at.tags =
		at.dicts + align_up(DICT_GENERATIONS * sizeof(struct store_dict), DEVICE_PAGE_SIZE);
	at.arena =
		align_up(at.tags + at.arena_bytes / ZS_PAGE_SIZE * sizeof(uint32_t), EXTENT_BYTES);
	at.size = at.arena + at.arena_bytes;
	return at;
}

uint64_t device_store_size(uint64_t size)
{
	return size == 0 || size > device_max_size() ? 0 : layout_of(size).size;
}

static uint64_t checksum(const struct store_header *h)
{
	uint64_t hash = fnv1a(FNV1A_START, h, offsetof(struct store_header, complete));

	return fnv1a(hash, &h->page_size,
		     offsetof(struct store_header, checksum) -
			     offsetof(struct store_header, page_size));
}

/* A random UUID, version 4 (RFC 9562). */
static int make_uuid(uint8_t uuid[16])
{
	ssize_t n;

	do
		n = getrandom(uuid, 16, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
	return n == 16 ? 0 : -EIO;
}

/*
 * Until complete is 1 the store is nobody's: whoever finds it makes it anew. The magic comes first,
 * so that a header of which only a part was written is known for what it is; the stores of a part
 * that is copied are ordered by the two around them.
 */
int store_format(void *store, uint64_t size, enum zs_kind allocator)
{
	struct store_header *h = store;
	struct store_header made = {
		.magic = STORE_MAGIC,
		.version = DEVICE_STORE_LAYOUT,
		.page_size = DEVICE_PAGE_SIZE,
		.layout = layout_of(size),
		.allocator = allocator,
		.classes = zs_layout(allocator),
		.encodings = store_encodings(),
		.top = zs_top_of_none(),
	};
	int r = make_uuid(made.uuid);

	if (r < 0)
		return r;
	made.checksum = checksum(&made);
	STEP("format: begin");
	__atomic_store_n(&h->complete, 0, __ATOMIC_RELEASE);
	/* There is nothing in new memory; what was killed while it was made may have left a part. */
	r = os_release_shared((char *)store + DEVICE_PAGE_SIZE,
			      made.layout.size - DEVICE_PAGE_SIZE);
	if (r < 0)
		return r;
	STEP("format: emptied");
	__atomic_store_n(&h->magic, made.magic, __ATOMIC_RELEASE);
	STEP("format: magic");
	memcpy(&h->page_size, &made.page_size,
	       sizeof(made) - offsetof(struct store_header, page_size));
	__atomic_store_n(&h->version, made.version, __ATOMIC_RELEASE);
	STEP("format: header");
	__atomic_store_n(&h->complete, 1, __ATOMIC_RELEASE);
	STEP("format: complete");
	return 0;
}

static bool is_blank(const struct store_header *h)
{
	const uint8_t *bytes = (const uint8_t *)h;

	for (size_t i = 0; i < sizeof(*h); i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

#define TEXT_OF(number)	    #number
#define NUMBER_TEXT(number) TEXT_OF(number)

/* The parts that are the same in every version. */
static int check_identity(const struct store_header *h, const char **ret_why)
{
	if (is_blank(h)) {
		*ret_why = "there is no device in it";
		return -ENODATA;
	}
	if (h->magic != STORE_MAGIC) {
		*ret_why = "it is no pool of zcram's, or of a machine of another byte order";
		return -EPROTO;
	}
	/* Nothing is stored before it is complete. */
	if (h->complete == 0 &&
	    ((h->top != 0 && h->top != zs_top_of_none()) || h->generation != 0)) {
		*ret_why = "its header is damaged: it holds something, and was never complete";
		return -EINVAL;
	}
	if (h->complete == 0) {
		*ret_why = "whoever made it was killed before it was complete";
		return -ENODATA;
	}
	if (h->version != DEVICE_STORE_LAYOUT) {
		*ret_why = "it has another layout version than this zcram's, which is " NUMBER_TEXT(
			DEVICE_STORE_LAYOUT);
		return -EPROTO;
	}
	return 0;
}

static int check_constant(const struct store_header *h, uint64_t store_size, const char **ret_why)
{
	const struct store_layout *at = &h->layout;
	struct store_layout expected;

	if (h->complete != 1 || h->checksum != checksum(h)) {
		*ret_why = "its header is damaged: the checksum is wrong";
		return -EINVAL;
	}
	if (h->allocator >= ZS_KINDS) {
		*ret_why = "its pool is of an allocator that this zcram does not have";
		return -EPROTO;
	}
	if (h->page_size != DEVICE_PAGE_SIZE || h->classes != zs_layout(h->allocator)) {
		*ret_why = "its pool is cut otherwise than this zcram's";
		return -EPROTO;
	}
	if (device_store_size(at->device_size) == 0) {
		*ret_why = "its header is damaged: the device has a size that no device can have";
		return -EINVAL;
	}
	expected = layout_of(at->device_size);
	if (memcmp(&expected, at, sizeof(expected)) != 0) {
		*ret_why = "its parts stand elsewhere than this zcram's";
		return -EPROTO;
	}
	if (at->size != store_size) {
		*ret_why = "it is truncated, or too long: its size is not that of its device";
		return -EINVAL;
	}
	return 0;
}

int device_store_inspect(const void *store, uint64_t store_size, struct device_store_info *ret_info,
			 const char **ret_why)
{
	const struct store_header *h = store;
	int r;

	*ret_info = (struct device_store_info){.store_size = store_size};
	*ret_why = NULL;
	if (store_size < DEVICE_PAGE_SIZE) {
		*ret_why = "it is truncated: a header takes 4096 bytes";
		return -EINVAL;
	}
	r = check_identity(h, ret_why);
	if (r < 0 && r != -EPROTO)
		return r;
	ret_info->layout = h->version;
	if (r < 0)
		return r;
	ret_info->complete = true;
	ret_info->device_size = h->layout.device_size;
	ret_info->generation = load_relaxed(&h->generation);
	memcpy(ret_info->uuid, h->uuid, sizeof(h->uuid));
	ret_info->allocator = h->allocator;
	r = check_constant(h, store_size, ret_why);
	if (r == 0 && (load_relaxed(&h->encodings) & ~store_encodings()) != 0) {
		*ret_why = "its pages may be encoded as this zcram cannot decode them";
		r = -EPROTO;
	}
	return r;
}

static void *part(struct store_header *h, uint64_t offset)
{
	return (char *)h + offset;
}

uint64_t *store_leaves(struct store_header *h)
{
	return part(h, h->layout.leaves);
}

slot_word *store_slots(struct store_header *h)
{
	return part(h, h->layout.slots);
}

uint64_t *store_words(struct store_header *h)
{
	return part(h, h->layout.words);
}

struct store_dict *store_dicts(struct store_header *h)
{
	return part(h, h->layout.dicts);
}

struct zs_store store_pool(struct store_header *h)
{
	return (struct zs_store){
		.top = &h->top,
		.tags = part(h, h->layout.tags),
		.arena = part(h, h->layout.arena),
	};
}
