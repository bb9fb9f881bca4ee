// The vendor's own client: lists every kind of row, reads one of each, makes, changes and deletes, then calls every
// reading operation that is left. Says what it got as a JSON line each.
const { createRequire } = require('module');
const client = createRequire(`${process.argv[2]}/`);
const fs = require('fs');
const versions = { v1: client('pipedrive/v1'), v2: client('pipedrive/v2') };
const origin = process.env.PIPEDRIVE_ORIGIN;
const bases = { v1: `${origin}/api/v1`, v2: `${origin}/api/v2` };
const called = new Set();

const say = (told) => fs.writeSync(1, JSON.stringify(told) + '\n');

function api(version, name) {
  const { Configuration } = versions[version];
  return new versions[version][name](new Configuration({ apiKey: process.env.PIPEDRIVE_API_TOKEN, basePath: bases[version] }));
}

async function call(version, name, method, params = {}) {
  called.add(`${version} ${name} ${method}`);
  for (;;) {
    try {
      return await api(version, name)[method](params);
    } catch (problem) {
      const refusal = problem && (problem.errorCode || (problem.response && problem.response.status));
      if (refusal !== 429) throw problem;
      await new Promise((done) => setTimeout(done, 200));
    }
  }
}

async function all(version, name, method, params = {}) {
  const found = [];
  let at = version === 'v1' ? { start: 0 } : {};
  for (;;) {
    const answer = await call(version, name, method, { limit: 60, ...params, ...at });
    found.push(...(answer.data || []));
    const more = answer.additional_data || {};
    const pages = more.pagination || more;
    if (version === 'v2' && more.next_cursor) at = { cursor: more.next_cursor };
    else if (version === 'v1' && pages.more_items_in_collection) at = { start: pages.next_start ?? at.start + 60 };
    else return found;
  }
}

const LISTS = [
  ['v2', 'OrganizationsApi', 'getOrganizations', 'organizations', 'getOrganization'],
  ['v2', 'PersonsApi', 'getPersons', 'persons', 'getPerson'],
  ['v2', 'DealsApi', 'getDeals', 'deals', 'getDeal'],
  ['v2', 'DealsApi', 'getArchivedDeals', 'deals archived', null],
  ['v2', 'ProductsApi', 'getProducts', 'products', 'getProduct'],
  ['v2', 'ActivitiesApi', 'getActivities', 'activities', 'getActivity'],
  ['v2', 'PipelinesApi', 'getPipelines', 'pipelines', 'getPipeline'],
  ['v2', 'StagesApi', 'getStages', 'stages', 'getStage'],
  ['v2', 'DealFieldsApi', 'getDealFields', 'deal_fields', 'getDealField'],
  ['v2', 'PersonFieldsApi', 'getPersonFields', 'person_fields', 'getPersonField'],
  ['v2', 'OrganizationFieldsApi', 'getOrganizationFields', 'organization_fields', 'getOrganizationField'],
  ['v2', 'ProductFieldsApi', 'getProductFields', 'product_fields', 'getProductField'],
  ['v2', 'ActivityFieldsApi', 'getActivityFields', 'activity_fields', 'getActivityField'],
  ['v2', 'ProjectFieldsApi', 'getProjectFields', 'project_fields', 'getProjectField'],
  ['v1', 'NotesApi', 'getNotes', 'notes', 'getNote'],
  ['v1', 'FilesApi', 'getFiles', 'files', 'getFile'],
  ['v1', 'LeadsApi', 'getLeads', 'leads', 'getLead'],
  ['v1', 'LeadLabelsApi', 'getLeadLabels', 'lead_labels', null],
  ['v1', 'ActivityTypesApi', 'getActivityTypes', 'activity_types', null],
  ['v1', 'FiltersApi', 'getFilters', 'filters', 'getFilter'],
  ['v1', 'UsersApi', 'getUsers', 'users', 'getUser'],
  ['v1', 'CurrenciesApi', 'getCurrencies', 'currencies', null],
];

async function lists() {
  const first = {};
  for (const [version, name, method, table, one] of LISTS) {
    const rows = await all(version, name, method);
    say({ rows: table, got: rows });
    if (rows.length) first[table] = rows[0];
    if (one && rows.length) {
      const key = rows[0].field_code ? { field_code: rows[0].field_code } : { id: rows[0].id };
      say({ one: table, got: (await call(version, name, one, key)).data });
    }
  }
  const lines = [];
  for (const deal of await all('v2', 'DealsApi', 'getDeals')) {
    lines.push(...(await all('v2', 'DealProductsApi', 'getDealProducts', { id: deal.id })));
  }
  say({ rows: 'deal_products', got: lines });
  first.permission_sets = (await call('v1', 'PermissionSetsApi', 'getPermissionSets')).data[0];
  return first;
}

// table, version, class, word, what to make, what to change; the client calls some bodies by other names
const BODIES = { updateActivity: 'AddActivityRequest', updateNote: 'NoteRequest' };
const WRITES = [
  ['organizations', 'v2', 'OrganizationsApi', 'Organization', { name: 'Node SL' }, { name: 'Node SA' }],
  ['persons', 'v2', 'PersonsApi', 'Person', { name: 'Ada Node', emails: [{ value: 'a@node.example', primary: true, label: 'work' }] }, { name: 'Ada B. Node' }],
  ['products', 'v2', 'ProductsApi', 'Product', { name: 'Nodo', prices: [{ currency: 'EUR', price: 3.5 }] }, { name: 'Nodo II' }],
  ['pipelines', 'v2', 'PipelinesApi', 'Pipeline', { name: 'Node' }, { name: 'Node II' }],
  ['stages', 'v2', 'StagesApi', 'Stage', { name: 'Node', pipeline_id: 1 }, { name: 'Node II' }],
  ['deals', 'v2', 'DealsApi', 'Deal', { title: 'Trato', value: 12.5, currency: 'EUR' }, { title: 'Trato II', status: 'won' }],
  ['activities', 'v2', 'ActivitiesApi', 'Activity', { subject: 'Llamar', type: 'call', due_date: '2026-12-01' }, { done: true }],
  ['notes', 'v1', 'NotesApi', 'Note', { content: 'Nota de Node', deal_id: 1 }, { content: 'Nota cambiada' }],
  ['leads', 'v1', 'LeadsApi', 'Lead', { title: 'Pista', organization_id: 1 }, { title: 'Pista II' }],
  ['lead_labels', 'v1', 'LeadLabelsApi', 'LeadLabel', { name: 'Tibio', color: 'green' }, { name: 'Templado' }],
  ['activity_types', 'v1', 'ActivityTypesApi', 'ActivityType', { name: 'Nodo', icon_key: 'car' }, { name: 'Nodo II' }],
];

async function writes() {
  for (const [table, version, name, word, made, changed] of WRITES) {
    const { data: row } = await call(version, name, `add${word}`, { [`Add${word}Request`]: made });
    await call(version, name, `update${word}`, { id: row.id, [BODIES[`update${word}`] || `Update${word}Request`]: changed });
    say({ kept: table, id: row.id, sent: { ...made, ...changed } });
    const { data: gone } = await call(version, name, `add${word}`, { [`Add${word}Request`]: made });
    await call(version, name, `delete${word}`, { id: gone.id });
    say({ deleted: table, id: gone.id });
  }
  await call('v2', 'DealsApi', 'addDealFollower', { id: 2, AddDealFollowerRequest: { user_id: 3 } });
  await call('v2', 'DealsApi', 'deleteDealFollower', { id: 2, follower_id: 3 });
  await call('v1', 'DealsApi', 'addDealParticipant', { id: 2, AddDealParticipantRequest: { person_id: 1 } });
  const line = await call('v2', 'DealProductsApi', 'addDealProduct', { id: 2, AddDealProductRequest: { product_id: 1, item_price: 2.5, quantity: 2 } });
  await call('v2', 'DealProductsApi', 'deleteDealProduct', { id: 2, product_attachment_id: line.data.id });
  say({ deleted: 'deal_products', id: line.data.id });
  const field = await call('v2', 'DealFieldsApi', 'addDealField', { AddDealFieldRequest: { field_name: 'Nodo', field_type: 'enum', options: [{ label: 'Uno' }] } });
  const code = field.data.field_code;
  await call('v2', 'DealFieldsApi', 'addDealFieldOptions', { field_code: code, AddDealFieldOptionsRequestInner: [{ label: 'Dos' }] });
  say({ one: 'deal_fields', got: (await call('v2', 'DealFieldsApi', 'getDealField', { field_code: code })).data });
  await call('v2', 'DealFieldsApi', 'deleteDealField', { field_code: code });
  const file = new File(['de Node'], 'nodo.txt', { type: 'text/plain' });
  const { data: kept } = await call('v1', 'FilesApi', 'addFile', { file, deal_id: 1 });
  say({ kept: 'files', id: kept.id, sent: { file_size: 7, deal_id: 1, name: 'nodo.txt' } });
}

async function searches() {
  const found = await call('v2', 'PersonsApi', 'searchPersons', { term: 'Persona 12', limit: 100 });
  say({ found: 'persons', got: found.data.items.map((one) => one.item) });
  await call('v2', 'ItemSearchApi', 'searchItem', { term: 'Obra', limit: 100 });
}

// Every reading operation that was not called yet, on rows that exist.
async function rest(first) {
  const about = (name) => {
    for (const [kind, table] of [['Deal', 'deals'], ['Person', 'persons'], ['Organization', 'organizations'], ['Product', 'products'], ['Lead', 'leads'], ['Note', 'notes'], ['User', 'users'], ['File', 'files'], ['Filter', 'filters'], ['Pipeline', 'pipelines'], ['Stage', 'stages'], ['PermissionSet', 'permission_sets']]) {
      if (name.startsWith(kind)) return first[table];
    }
    return { id: 1 };
  };
  const numbered = {};
  for (const name of ['DealFieldsApi', 'PersonFieldsApi', 'OrganizationFieldsApi', 'ProductFieldsApi']) {
    numbered[name] = (await call('v1', name, `get${name.slice(0, -3)}`)).data[0].id;
  }
  const code = { DealFieldsApi: 'deal_fields', PersonFieldsApi: 'person_fields', OrganizationFieldsApi: 'organization_fields', ProductFieldsApi: 'product_fields', BetaApi: 'project_fields' };
  for (const version of ['v1', 'v2']) {
    for (const name of Object.keys(versions[version]).filter((one) => one.endsWith('Api')).sort()) {
      for (const method of Object.getOwnPropertyNames(versions[version][name].prototype)) {
        if (!/^(get|search|find|download)/.test(method) || called.has(`${version} ${name} ${method}`)) continue;
        const params = {
          id: (version === 'v1' && numbered[name]) || about(name).id, board_id: 1, term: 'Obra', item_type: 'deal', fields: undefined, field: 'title', entity_type: 'deal', folder: 'inbox',
          commentId: '1', conversion_id: '00000000-0000-4000-8000-000000000001', deal_ids: [first.deals.id], org_id: first.organizations.id,
          since_timestamp: '2026-11-01 00:00:00', start_date: '2026-11-01', end_date: '2026-11-30', interval: 'month', amount: 2,
          field_key: 'add_time', period_start: '2026-11-01', period_end: '2026-11-30', 'period.start': '2026-11-01', 'period.end': '2026-11-30',
          field_code: (first[code[name]] || {}).field_code,
        };
        let outcome = 'answered';
        try {
          await call(version, name, method, params);
        } catch (problem) {
          outcome = String((problem && (problem.error || problem.message)) || JSON.stringify(problem)).slice(0, 200);
        }
        say({ call: `${version} ${name}.${method}`, outcome });
      }
    }
  }
}

async function main() {
  const first = await lists();
  await writes();
  await searches();
  await rest(first);
}

main().catch((problem) => {
  console.error(problem && problem.stack ? problem.stack : JSON.stringify(problem));
  process.exit(1);
});
