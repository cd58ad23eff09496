// feature/ask/request_content.h: what is sealed inside stage messages (Tier 2): token ids or
// vectors for the first hop, a token or vectors for the asker, and what each seal is bound to.
//
// Layouts: token ids as u32, vectors as float32, all little endian, one after the other.
#pragma once

#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "infer/tokenizer.h"
#include "proto/seal/request_seal.h"
#include "schema/wire.pb.h"

namespace kith::ask {

// The associated data of the seals: a message whose fields were changed does not open.
base::Bytes bound_fields(wire::v1::StageForward const& forward);
base::Bytes bound_fields(wire::v1::StageResult const& result);

base::Bytes encode_tokens(std::vector<infer::TokenId> const& tokens);
// Code::invalid unless `bytes` holds exactly `count` ids, all of which fit a token id.
base::Result<std::vector<infer::TokenId>> decode_tokens(base::ByteView bytes, std::size_t count);

// Who seals with whom. Code::invalid: an id of the wrong size, or a hop that is not there.
base::Result<proto::seal::Subject> seal_subject(wire::v1::StageForward const& forward,
                                                std::size_t hop);

}  // namespace kith::ask
