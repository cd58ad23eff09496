// tests/vectors/runner.h: runs a file of published vectors, of whatever kind its content shows, on
// kith's own code. The doctest cases and the program kith-vectors both stand on it.
#pragma once

#include "crypto/provider.h"
#include "report.h"

namespace kith::vectors {

// Code::unsupported: the content is of no kind that is known here; Code::invalid: known, but it has
// not the shape of its kind.
base::Result<Report> run(Value const& file);

// Which code ML-DSA and ML-KEM tests ran on, besides the in-tree one.
std::string provider_note(crypto::ProviderChoice const& choice);

// One runner per family. False: not a file of this family, nothing was run.
bool run_symmetric(Value const& file, Report& report);    // AEAD, hash, HKDF, HMAC, BLAKE3
bool run_curves(Value const& file, Report& report);       // X25519, Ed25519
bool run_mldsa65(Value const& file, Report& report);      // ACVP, Wycheproof
bool run_mlkem768(Value const& file, Report& report);     // ACVP, Wycheproof, CCTV
bool run_accumulated(Value const& file, Report& report);  // CCTV: one hash over many rounds
bool run_hybrids(Value const& file, Report& report);      // X-Wing, XAES-256-GCM
bool run_noise(Value const& file, Report& report);        // cacophony transcripts
bool run_text(Value const& file, Report& report);         // base58, base58check

}  // namespace kith::vectors
