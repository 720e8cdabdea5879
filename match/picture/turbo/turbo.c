//go:build dlib && cgo

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <jpeglib.h>
#include "turbo.h"

// A decoder is libjpeg's, with where to go on an error: left to itself, libjpeg
// would end the process.
struct decoder {
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	jmp_buf failed;
};

static void fail(j_common_ptr jpeg) {
	longjmp(((struct decoder *)jpeg->client_data)->failed, 1);
}

// warn is called for what libjpeg would make the best of, and for traces.
static void warn(j_common_ptr jpeg, int level) {
	if (level < 0) {
		fail(jpeg);
	}
}

static int has(const struct jpeg_decompress_struct *j, int i, int h, int v) {
	return j->comp_info[i].h_samp_factor == h && j->comp_info[i].v_samp_factor == v;
}

// fits returns whether the header says the same as the caller.
static int fits(const struct jpeg_decompress_struct *j, int colour, int width, int height, int right, int down) {
	if ((int)j->image_width != width || (int)j->image_height != height || j->data_precision != 8 ||
		j->progressive_mode || j->arith_code || jpeg_has_multiple_scans((j_decompress_ptr)j) || !has(j, 0, 1 << right, 1 << down)) {
		return 0;
	}
	if (!colour) {
		return j->num_components == 1 && j->jpeg_color_space == JCS_GRAYSCALE;
	}
	return j->num_components == 3 && j->jpeg_color_space == JCS_YCbCr && has(j, 1, 1, 1) && has(j, 2, 1, 1);
}

int facegate_turbo(const unsigned char *data, unsigned long size,
	unsigned char *luma, unsigned char *cb, unsigned char *cr, int stride, int chroma_stride,
	int width, int height, int right, int down) {
	struct decoder *d = calloc(1, sizeof *d);
	if (!d) {
		return 0;
	}
	struct jpeg_decompress_struct *j = &d->jpeg;
	j->err = jpeg_std_error(&d->errors);
	j->client_data = d;
	d->errors.error_exit = fail;
	d->errors.emit_message = warn;
	if (setjmp(d->failed)) {
		jpeg_destroy_decompress(j);
		free(d);
		return 0;
	}
	jpeg_create_decompress(j);
	jpeg_mem_src(j, (unsigned char *)data, size);
	jpeg_read_header(j, TRUE);
	if (!fits(j, cb != NULL, width, height, right, down)) {
		fail((j_common_ptr)j);
	}
	j->raw_data_out = TRUE; // luma and chroma as they are
	j->out_color_space = j->jpeg_color_space;
	j->dct_method = JDCT_ISLOW; // as exact as image/jpeg
	jpeg_start_decompress(j);
	while (j->output_scanline < j->output_height) {
		JSAMPROW of_luma[16], of_cb[8], of_cr[8];
		JSAMPARRAY planes[] = {of_luma, of_cb, of_cr};
		int rows = 8 << down, y = j->output_scanline;
		for (int i = 0; i < rows; i++) {
			of_luma[i] = luma + (size_t)(y + i) * stride;
		}
		for (int i = 0; i < 8 && cb; i++) {
			size_t at = (size_t)((y >> down) + i) * chroma_stride;
			of_cb[i] = cb + at;
			of_cr[i] = cr + at;
		}
		jpeg_read_raw_data(j, planes, rows);
	}
	jpeg_finish_decompress(j);
	jpeg_destroy_decompress(j);
	free(d);
	return 1;
}
