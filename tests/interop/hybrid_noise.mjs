// hybrid_noise.mjs NOISE_TRANSCRIPTS: computes the hybrid Noise handshakes that our program prints once more, from the
// specification (Noise revision 34 and noise_hfs_spec) and with other people's primitives (noble), and compares every byte.
import { execFileSync } from 'node:child_process'
import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import { gcm } from '@noble/ciphers/aes.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js'
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'

let failures = 0
function check (sentence, good) {
  console.log(`${good ? 'ok' : 'not ok'} - ${sentence}`)
  if (!good) failures++
}

// Sections 7.4 and 7.5: what is known beforehand, and the messages.
const patterns = {
  NN: [[], 'e', 'e ee'],
  NK: [['r'], 'e es', 'e ee'],
  KK: [['i', 'r'], 'e es ss', 'e ee se'],
  IX: [[], 'e s', 'e ee se s es'],
  IK: [['r'], 'e es s ss', 'e ee se'],
  XK: [['r'], 'e es', 'e ee', 's se'],
  XX: [[], 'e', 'e ee s es', 's se']
}

function messagesOf (name) {
  const base = name.slice(0, 2)
  const modifiers = name.slice(2).split('+').filter(word => word !== '')
  const [known, ...texts] = patterns[base]
  const messages = texts.map(text => text.split(' '))
  for (const modifier of modifiers) {
    if (modifier === 'hfs') {
      messages[0].splice(messages[0][1] === 'es' ? 2 : 1, 0, 'e1')
      messages[1].splice(messages[1].indexOf('ee') + 1, 0, 'ekem1')
    } else if (modifier === 'psk0') messages[0].unshift('psk')
    else messages[Number(modifier[3]) - 1].push('psk')
  }
  return { known, messages, psk: name.includes('psk') }
}

function hkdf (chainingKey, input, count) {
  const temporary = hmac(sha256, chainingKey, input)
  const out = []
  for (let i = 1; i <= count; i++) out.push(hmac(sha256, temporary, concatBytes(out.at(-1) ?? new Uint8Array(), Uint8Array.of(i))))
  return out
}

class Symmetric {
  constructor (name, aesGcm) {
    const bytes = new TextEncoder().encode(name)
    this.h = bytes.length <= 32 ? concatBytes(bytes, new Uint8Array(32 - bytes.length)) : sha256(bytes)
    this.ck = this.h
    this.k = null
    this.aesGcm = aesGcm
  }

  mixHash (data) { this.h = sha256(concatBytes(this.h, data)) }
  mixKey (input) { [this.ck, this.k] = hkdf(this.ck, input, 2); this.n = 0 }
  mixKeyAndHash (input) {
    const [ck, hash, k] = hkdf(this.ck, input, 3)
    this.ck = ck
    this.mixHash(hash)
    this.k = k
    this.n = 0
  }

  encryptAndHash (plain) {
    let sealed = plain
    if (this.k !== null) {
      const nonce = new Uint8Array(12)
      new DataView(nonce.buffer).setBigUint64(4, BigInt(this.n++), !this.aesGcm)
      sealed = (this.aesGcm ? gcm : chacha20poly1305)(this.k, nonce, this.h).encrypt(plain)
    }
    this.mixHash(sealed)
    return sealed
  }
}

// Both sides know everything here, so one state is enough: the writer's.
function replay (t) {
  const { known, messages, psk } = messagesOf(t.pattern)
  const aesGcm = t.cipher === 'AESGCM'
  const symmetric = new Symmetric(`Noise_${t.pattern}_25519+MLKEM768_${t.cipher}_SHA256`, aesGcm)
  const key = hex => ({ secret: hexToBytes(hex), public: x25519.getPublicKey(hexToBytes(hex)) })
  const parties = {
    i: { s: key(t.init_static), e: key(t.init_ephemeral) },
    r: { s: key(t.resp_static), e: key(t.resp_ephemeral) }
  }
  const kem = ml_kem768.keygen(hexToBytes(t.kem_seed))
  symmetric.mixHash(hexToBytes(t.prologue))
  for (const who of known) symmetric.mixHash(parties[who].s.public)
  const dh = (ours, theirs) => symmetric.mixKey(x25519.getSharedSecret(ours.secret, theirs.public))
  return {
    sent: messages.map((tokens, index) => {
      const writer = parties[index % 2 === 0 ? 'i' : 'r']
      const out = []
      for (const token of tokens) {
        if (token === 'e') {
          out.push(writer.e.public)
          symmetric.mixHash(writer.e.public)
          if (psk) symmetric.mixKey(writer.e.public)
        } else if (token === 's') out.push(symmetric.encryptAndHash(writer.s.public))
        else if (token === 'e1') out.push(symmetric.encryptAndHash(kem.publicKey))
        else if (token === 'ekem1') {
          const { cipherText, sharedSecret } = ml_kem768.encapsulate(kem.publicKey, hexToBytes(t.kem_random))
          out.push(symmetric.encryptAndHash(cipherText))
          symmetric.mixKey(sharedSecret)
        } else if (token === 'psk') symmetric.mixKeyAndHash(hexToBytes(t.psk))
        else dh(parties.i[token[0]], parties.r[token[1]])
      }
      out.push(symmetric.encryptAndHash(hexToBytes(t.messages[index].payload)))
      return bytesToHex(concatBytes(...out))
    }),
    hash: bytesToHex(symmetric.h),
    keys: hkdf(symmetric.ck, new Uint8Array(), 2).map(bytesToHex)
  }
}

const lines = execFileSync(process.argv[2], { encoding: 'utf8' }).trim().split('\n').map(line => JSON.parse(line))
check('there are transcripts', lines.length >= 10)
for (const t of lines) {
  const name = `${t.pattern} ${t.cipher}`
  const oracle = replay(t)
  check(`${name}: as many messages`, oracle.sent.length === t.messages.length)
  t.messages.forEach((message, i) => check(`${name}: message ${i + 1}`, message.ciphertext === oracle.sent[i]))
  check(`${name}: handshake hash`, t.handshake_hash === oracle.hash)
  check(`${name}: keys of both directions`, t.to_responder === oracle.keys[0] && t.to_initiator === oracle.keys[1])
}
console.log(failures === 0 ? 'all checks hold' : `${failures} checks fail`)
process.exit(failures === 0 ? 0 : 1)
