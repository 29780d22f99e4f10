/* SPDX-License-Identifier: BSD-3-Clause */
#include "nbd/proto.h"

#include <errno.h>

uint32_t proto_error(int r)
{
	switch (-r) {
	case 0:
		return 0;
	case EPERM:
	case EROFS:
		return PROTO_EPERM;
	case ENOMEM:
		return PROTO_ENOMEM;
	case EINVAL:
		return PROTO_EINVAL;
	case ENOSPC:
	case EDQUOT:
		return PROTO_ENOSPC;
	case EOVERFLOW:
		return PROTO_EOVERFLOW;
	case EOPNOTSUPP:
		return PROTO_ENOTSUP;
	case ESHUTDOWN:
		return PROTO_ESHUTDOWN;
	default:
		return PROTO_EIO;
	}
}
