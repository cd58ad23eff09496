// The official OpenAI client against a running kith (or its fixture): what a user's program would do, and what it
// sees when it does something wrong.
//
//   BASE_URL=http://127.0.0.1:8800/v1 KEY=... MODEL=... node client_test.mjs
//
// FIXTURE=1 adds what only the fixture can show (one question at a time, an answer without end).
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const { BASE_URL, KEY, MODEL, FIXTURE } = process.env;
for (const [name, value] of Object.entries({ BASE_URL, KEY, MODEL }))
    if (!value) {
        console.error(`client_test: ${name} is not set`);
        process.exit(2);
    }

const client = new OpenAI({ baseURL: BASE_URL, apiKey: KEY, maxRetries: 0, timeout: 120_000 });
const patient = client.withOptions({ maxRetries: 5 });
const messages = [{ role: 'user', content: 'What does the word kith mean?' }];
const question = { model: MODEL, messages, temperature: 0, max_tokens: 24 };

const tests = {
    async 'models are listed, with ours among them'() {
        const page = await client.models.list();
        const found = page.data.find((model) => model.id === MODEL);
        assert.ok(found, `${MODEL} is not in ${page.data.map((model) => model.id)}`);
        assert.equal(found.object, 'model');
    },

    async 'a model can be retrieved by name, an unknown one not'() {
        assert.equal((await client.models.retrieve(MODEL)).id, MODEL);
        await assert.rejects(client.models.retrieve('no/such model'), OpenAI.NotFoundError);
    },

    async 'a whole answer has text, a finish reason and usage that adds up'() {
        const answer = await client.chat.completions.create(question);
        assert.equal(answer.object, 'chat.completion');
        assert.equal(answer.choices.length, 1);
        assert.equal(answer.choices[0].message.role, 'assistant');
        assert.ok(answer.choices[0].message.content.length > 0);
        assert.ok(['stop', 'length'].includes(answer.choices[0].finish_reason));
        assert.ok(answer.usage.prompt_tokens > 0);
        assert.ok(answer.usage.completion_tokens > 0 && answer.usage.completion_tokens <= 24);
        assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
        assert.ok(Math.abs(answer.created - Date.now() / 1000) < 3600);
    },

    async 'a streamed answer is the same text, in order, with one id'() {
        const whole = await client.chat.completions.create(question);
        const stream = await client.chat.completions.create({ ...question, stream: true });
        let text = '';
        const ids = new Set();
        const reasons = [];
        for await (const chunk of stream) {
            assert.equal(chunk.object, 'chat.completion.chunk');
            assert.equal(chunk.usage ?? null, null);
            ids.add(chunk.id);
            text += chunk.choices[0].delta.content ?? '';
            if (chunk.choices[0].finish_reason) reasons.push(chunk.choices[0].finish_reason);
        }
        assert.equal(text, whole.choices[0].message.content);
        assert.equal(ids.size, 1);
        assert.deepEqual(reasons, [whole.choices[0].finish_reason]);
    },

    async 'usage comes as one last chunk when it is asked for'() {
        const stream = await client.chat.completions.create(
            { ...question, stream: true, stream_options: { include_usage: true } });
        let last;
        for await (const chunk of stream) last = chunk;
        assert.deepEqual(last.choices, []);
        assert.ok(last.usage.completion_tokens > 0);
    },

    async "the client's own stream helper is content with our events"() {
        const helper = client.chat.completions.stream(question);
        const final = await helper.finalChatCompletion();
        assert.ok(final.choices[0].message.content.length > 0);
    },

    async 'content in text parts and the developer role are understood'() {
        const answer = await client.chat.completions.create({
            ...question,
            messages: [
                { role: 'developer', content: 'Answer in one sentence.' },
                { role: 'user', content: [{ type: 'text', text: 'What does the word' }, { type: 'text', text: 'kith mean?' }] },
            ],
        });
        assert.ok(answer.choices[0].message.content.length > 0);
    },

    async 'max_tokens is kept to, and said'() {
        const answer = await client.chat.completions.create({ ...question, max_tokens: 2 });
        assert.equal(answer.choices[0].finish_reason, 'length');
        assert.equal(answer.usage.completion_tokens, 2);
    },

    async 'a wrong key is an authentication error, in list, chat and stream'() {
        const stranger = client.withOptions({ apiKey: KEY.replace(/.$/, (c) => (c === '0' ? '1' : '0')) });
        await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
        await assert.rejects(stranger.chat.completions.create(question), OpenAI.AuthenticationError);
        await assert.rejects(stranger.chat.completions.create({ ...question, stream: true }), OpenAI.AuthenticationError);
    },

    async 'an unknown model is not found'() {
        await assert.rejects(client.chat.completions.create({ ...question, model: 'no-such-model' }), (error) => {
            assert.ok(error instanceof OpenAI.NotFoundError);
            assert.equal(error.code, 'model_not_found');
            assert.equal(error.param, 'model');
            return true;
        });
    },

    async 'S52, S53, S54: one past a limit is a bad request that names the field'() {
        const bad = async (change, param) =>
            assert.rejects(client.chat.completions.create({ ...question, ...change }), (error) => {
                assert.ok(error instanceof OpenAI.BadRequestError, `${param}: ${error}`);
                assert.equal(error.param, param);
                return true;
            });
        const tool = { type: 'function', function: { name: 'f', parameters: {} } };
        await bad({ model: 'm'.repeat(257) }, 'model');
        await bad({ tools: Array(129).fill(tool) }, 'tools');
        await bad({ stop: Array(17).fill('x') }, 'stop');
        await bad({ stop: ['x', ''] }, 'stop');
        await bad({ temperature: 2.1 }, 'temperature');
        await bad({ max_tokens: 0 }, 'max_tokens');
        await bad({ max_tokens: undefined, max_completion_tokens: 32769 }, 'max_completion_tokens');
        await bad({ n: 2 }, 'n');
        await bad({ messages: [] }, 'messages');
        await bad({ logprobs: true, top_logprobs: 21 }, 'top_logprobs');
        await bad({ response_format: { type: 'grammar' } }, 'response_format');
        await bad({ tools: [tool], tool_choice: 'required' }, 'tool_choice');
        await bad({ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:,' } }] }] },
            'messages[0].content[0]');
    },

    async 'S46: a body of more than 32 MiB is 413, not a broken connection'() {
        await assert.rejects(
            client.chat.completions.create(
                { ...question, messages: [{ role: 'user', content: 'x'.repeat(33 * 1024 * 1024) }] }),
            (error) => error.status === 413);
    },

    async 'S47-S50: good and bad answers carry the security headers'() {
        for (const [path, status] of [['/models', 200], ['/nothing', 404]]) {
            const response = await fetch(BASE_URL + path, { headers: { authorization: `Bearer ${KEY}` } });
            assert.equal(response.status, status);
            assert.match(response.headers.get('content-security-policy'), /default-src 'self'.*frame-ancestors 'none'/);
            assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
            assert.equal(response.headers.get('x-frame-options'), 'DENY');
            assert.equal(response.headers.get('referrer-policy'), 'no-referrer');
            await response.text();
        }
    },

    async 'health needs no key and has no secret'() {
        const response = await fetch(new URL('/health', BASE_URL));
        assert.deepEqual(await response.json(), { status: 'ok' });
    },

    async 'aborting a stream frees its place: the next question is answered'() {
        const stream = await client.chat.completions.create({
            ...question, stream: true, max_tokens: 512,
            messages: [{ role: 'user', content: 'Tell me an endless story.' }],
        });
        for await (const chunk of stream) {
            if (chunk.choices[0]?.delta?.content) break;  // leaving the loop aborts the request
        }
        const answer = await patient.chat.completions.create(question);
        assert.ok(answer.choices[0].message.content.length > 0);
    },
};

if (FIXTURE) {
    tests['a full queue is a rate limit error, and the client knows when to come back'] = async () => {
        const endless = { ...question, stream: true, messages: [{ role: 'user', content: 'endless' }] };
        const first = await client.chat.completions.create(endless);
        const reader = first[Symbol.asyncIterator]();
        await reader.next();
        await assert.rejects(client.chat.completions.create(question), (error) => {
            assert.ok(error instanceof OpenAI.RateLimitError);
            assert.equal(error.headers.get('retry-after'), '1');
            return true;
        });
        first.controller.abort();
        await patient.chat.completions.create(question);
    };
}

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
    try {
        await test();
        console.log(`ok      ${name}`);
    } catch (error) {
        failed += 1;
        console.log(`FAILED  ${name}\n${error.stack}`);
    }
}
console.log(`${Object.keys(tests).length - failed} passed, ${failed} failed (node ${process.version})`);
process.exit(failed === 0 ? 0 : 1);
